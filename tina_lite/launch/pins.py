"""What a run takes from the hub, it takes at one commit: that is written into its recipe when it starts."""

from tina_lite.hub import HUB_ID, Commits, repo_and_revision
from tina_lite.problems.benchmarks import KNOWN, known_name
from tina_lite.problems.files import is_local
from tina_lite.problems.from_recipe import HELD_OUT
from tina_lite.recipe import Recipe
from tina_lite.recipe.places import renamed


def pinned(recipe: Recipe) -> Recipe:
    """A local recipe with each name of the hub at the commit that it leads to now, as OWNER/NAME@COMMIT."""
    commits = Commits()

    def model(name: str) -> str:
        return commits.pinned(name, "model") if HUB_ID.fullmatch(name) else name

    def data(name: str) -> str:
        on_hub = HUB_ID.fullmatch(name) and name != "arithmetic" and not is_local(name, None)
        return commits.pinned(name, "dataset") if on_hub else name

    def benchmark(name: str) -> str:
        known, source = known_name(name)
        if known is None:
            return name if name == HELD_OUT else data(name)
        place = KNOWN[known].hub_id if source == known else source
        found = data(place)
        return name if found == place else f"{known}={found}"

    return renamed(recipe, model=model, data=data, reward=lambda name: name, benchmark=benchmark)


def pinned_as(recipe: Recipe, kept: Recipe) -> Recipe:
    """A recipe with the commits of the run that it is to go on with: a branch may have moved since."""
    pins: dict[str, str] = {}

    def learn(name: str) -> str:
        if repo_and_revision(name.rpartition("=")[2])[1]:
            pins[_bare(name)] = name
        return name

    def pin(name: str) -> str:
        return pins.get(_bare(name), name)

    renamed(kept, model=learn, data=learn, reward=lambda name: name, benchmark=learn)
    return renamed(recipe, model=pin, data=pin, reward=lambda name: name, benchmark=pin)


def _bare(name: str) -> str:
    """
    >>> _bare("openai/gsm8k@main"), _bare("math500=HuggingFaceH4/MATH-500@main"), _bare("math500")
    ('openai/gsm8k', 'math500', 'math500')
    """
    known, equals, source = name.rpartition("=")
    repo, revision = repo_and_revision(source)
    return known if known and revision else f"{known}{equals}{repo}"
