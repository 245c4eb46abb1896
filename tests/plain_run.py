"""`tina-lite`, as its entry point starts it: python plain_run.py run RECIPE ..."""

from tina_lite.cli.main import main

if __name__ == "__main__":
    main()
