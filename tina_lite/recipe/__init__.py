"""What a run is, and how it is read.

The room:
    schema.py   every field with its default: read this page to learn what a recipe may say
    fields.py   the kinds of value that fields have
    file.py     YAML and what it extends, with the line of each field
    reading.py  from YAML and overrides to a recipe, and back
    faults.py   what is wrong, in a line
    places.py   files that a recipe names, from any folder
    elsewhere.py  a recipe from TRL's, open-r1's or Axolotl's YAML, by the names in names.py
"""

from tina_lite.recipe.reading import parse_override
from tina_lite.recipe.schema import Recipe

__all__ = ["Recipe", "parse_override"]
