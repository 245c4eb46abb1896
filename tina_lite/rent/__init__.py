"""A rented card for one run, by SkyPilot: it finds the machine, tina-lite says what is run there and what it may cost.

task.py     a recipe as a SkyPilot task
price.py    what the catalogue asks for a card, and what a rented hour is taken to cost
sky.py      SkyPilot as a program beside this one
in_sky.py   the part that runs in SkyPilot's own Python
"""
