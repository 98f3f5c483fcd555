"""Whole experiments: their data, their commands and the scores that they must reach. Open `recipe.py` first."""

from translator.recipes.check import Finding, check_recipe, expectations_table, findings_table
from translator.recipes.recipe import FOLDER, Recipe, find_recipes, read_recipe
from translator.recipes.run import run_recipe

__all__ = [
    "FOLDER",
    "Finding",
    "Recipe",
    "check_recipe",
    "expectations_table",
    "find_recipes",
    "findings_table",
    "read_recipe",
    "run_recipe",
]
