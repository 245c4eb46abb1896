"""What a run is, and how it is read.

schema.py   every field with its default: read this page to learn what a recipe may say
fields.py   the kinds of value that fields have
file.py     YAML and what it extends, with the line of each field; the recipes that ship
load.py     from YAML and overrides to a recipe, and back; what is wrong with one, in a line
convert.py  a recipe from TRL's, open-r1's or Axolotl's YAML
"""

from tina_lite.recipe.load import load_recipe, parse_override, to_yaml, with_local_paths
from tina_lite.recipe.schema import Recipe

__all__ = ["Recipe", "load_recipe", "parse_override", "to_yaml", "with_local_paths"]
