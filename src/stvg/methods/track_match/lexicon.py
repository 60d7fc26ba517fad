"""The words that ``track_match`` understands.

Class words lead to the COCO names that detectors use, with a weight for names that detectors are
known to give the same thing by mistake (a football in flight is often called a frisbee). All
tables are plain data: adding a word is adding a line.
"""

from __future__ import annotations

from collections.abc import Mapping

from stvg.perception.coco import COCO_CLASSES

ClassWeights = Mapping[str, float]

_PERSON_WORDS = """
    person people man men woman women boy boys girl girls child children kid kids baby babies
    toddler adult adults teenager teen guy guys lady ladies gentleman male female human somebody
    someone anybody player players athlete goalkeeper keeper striker referee coach batter pitcher
    worker workers officer policeman policewoman cop soldier guard fireman firefighter dancer
    singer performer musician guitarist drummer juggler magician actor actress driver rider cyclist
    biker skier snowboarder surfer skateboarder skater runner jogger swimmer diver hiker climber
    pedestrian passenger tourist customer shopper seller vendor waiter waitress chef cook barista
    bartender doctor nurse teacher student pupil clerk host guest bride groom couple mother father
    mom mum dad mommy daddy parent parents grandmother grandfather grandma grandpa brother sister
    son daughter friend wife husband uncle aunt boyfriend girlfriend king queen prince princess
    owner crowd team pair figure boxer wrestler gymnast golfer
""".split()

# Parts of a person: detectors draw the whole person, which the answer then says.
BODY_WORDS = frozenset("hand hands arm arms foot feet leg legs head face finger fingers".split())

_SYNONYMS: dict[str, dict[str, float]] = {
    "ball": {"sports ball": 1, "frisbee": 0.7, "orange": 0.6, "apple": 0.5},
    "football": {"sports ball": 1, "frisbee": 0.7},
    "basketball": {"sports ball": 1, "frisbee": 0.7, "orange": 0.4},
    "volleyball": {"sports ball": 1, "frisbee": 0.7},
    "disc": {"frisbee": 1},
    "disk": {"frisbee": 1},
    "puppy": {"dog": 1},
    "doggy": {"dog": 1},
    "hound": {"dog": 1},
    "kitten": {"cat": 1},
    "kitty": {"cat": 1},
    "pony": {"horse": 1},
    "foal": {"horse": 1},
    "calf": {"cow": 1},
    "bull": {"cow": 1},
    "cattle": {"cow": 1},
    "lamb": {"sheep": 1},
    "goat": {"sheep": 0.8},
    "duck": {"bird": 1},
    "goose": {"bird": 1},
    "chicken": {"bird": 1},
    "hen": {"bird": 1},
    "rooster": {"bird": 1},
    "penguin": {"bird": 1},
    "parrot": {"bird": 1},
    "pigeon": {"bird": 1},
    "seagull": {"bird": 1},
    "swan": {"bird": 1},
    "bike": {"bicycle": 1, "motorcycle": 0.6},
    "cycle": {"bicycle": 1},
    "motorbike": {"motorcycle": 1},
    "scooter": {"motorcycle": 0.8, "skateboard": 0.5},
    "moped": {"motorcycle": 1},
    "plane": {"airplane": 1},
    "aeroplane": {"airplane": 1},
    "aircraft": {"airplane": 1},
    "jet": {"airplane": 1},
    "automobile": {"car": 1},
    "taxi": {"car": 1},
    "cab": {"car": 1},
    "suv": {"car": 1, "truck": 0.6},
    "van": {"car": 0.8, "truck": 0.8, "bus": 0.5},
    "lorry": {"truck": 1},
    "pickup": {"truck": 1, "car": 0.5},
    "minibus": {"bus": 1},
    "tram": {"train": 1, "bus": 0.5},
    "locomotive": {"train": 1},
    "ship": {"boat": 1},
    "canoe": {"boat": 1},
    "kayak": {"boat": 1},
    "yacht": {"boat": 1},
    "sofa": {"couch": 1},
    "armchair": {"chair": 1, "couch": 0.6},
    "stool": {"chair": 0.9},
    "seat": {"chair": 0.8, "bench": 0.6, "couch": 0.5},
    "table": {"dining table": 1},
    "desk": {"dining table": 0.9},
    "television": {"tv": 1},
    "monitor": {"tv": 1},
    "screen": {"tv": 1, "laptop": 0.6},
    "computer": {"laptop": 1, "tv": 0.6},
    "notebook": {"book": 0.8, "laptop": 0.6},
    "phone": {"cell phone": 1},
    "cellphone": {"cell phone": 1},
    "smartphone": {"cell phone": 1},
    "mobile": {"cell phone": 1},
    "telephone": {"cell phone": 0.8},
    "fridge": {"refrigerator": 1},
    "cup": {"cup": 1, "wine glass": 0.6, "bottle": 0.5, "vase": 0.4},
    "mug": {"cup": 1, "bottle": 0.4, "vase": 0.4},
    "bottle": {"bottle": 1, "vase": 0.5, "cup": 0.2},
    "glass": {"cup": 0.8, "wine glass": 1},
    "beaker": {"cup": 1},
    "tumbler": {"cup": 1},
    "bag": {"handbag": 1, "backpack": 0.8, "suitcase": 0.7},
    "purse": {"handbag": 1},
    "rucksack": {"backpack": 1},
    "luggage": {"suitcase": 1},
    "parasol": {"umbrella": 1},
    "racket": {"tennis racket": 1},
    "racquet": {"tennis racket": 1},
    "bat": {"baseball bat": 1},
    "glove": {"baseball glove": 1},
    "ski": {"skis": 1},
    "teddy": {"teddy bear": 1},
    "plant": {"potted plant": 1},
    "flowerpot": {"potted plant": 1},
    "doughnut": {"donut": 1},
    "hotdog": {"hot dog": 1},
    "hydrant": {"fire hydrant": 1},
    "watch": {"clock": 0.6},
    "hairdryer": {"hair drier": 1},
    "basin": {"sink": 1},
}

_GROUPS: dict[str, str] = {
    "animal": "bird cat dog horse sheep cow elephant bear zebra giraffe",
    "pet": "cat dog bird",
    "vehicle": "bicycle car motorcycle airplane bus train truck boat",
    "fruit": "banana apple orange",
    "food": "banana apple sandwich orange broccoli carrot,hot dog,pizza donut cake",
    "furniture": "chair couch bed,dining table,bench",
    "toy": "teddy bear,sports ball,frisbee kite",
    "drink": "cup bottle,wine glass",
    "container": "cup bottle bowl vase",
}

THING: ClassWeights = dict.fromkeys((name for name in COCO_CLASSES if name != "person"), 1.0)
"""What "what" and "something" can mean: everything but a person."""
THING_WORDS = frozenset("thing things object objects item items something anything".split())
PERSON: ClassWeights = {"person": 1.0}
_PART_OF_PERSON: ClassWeights = {"person": 0.8}


def _class_words() -> dict[str, ClassWeights]:
    words: dict[str, ClassWeights] = {name: {name: 1.0} for name in COCO_CLASSES}
    words |= dict.fromkeys(_PERSON_WORDS, PERSON)
    words |= dict.fromkeys(BODY_WORDS, _PART_OF_PERSON)
    words |= _SYNONYMS
    for word, members in _GROUPS.items():
        names = [name for part in members.split(",") for name in _split_names(part)]
        words[word] = dict.fromkeys(names, 1.0)
    return words


def _split_names(part: str) -> list[str]:
    """Class names in a text: the whole text when it is one, else its words."""
    return [part] if part in COCO_CLASSES else part.split()


CLASS_WORDS: Mapping[str, ClassWeights] = _class_words()

_PLURALS = {"mice": "mouse", "knives": "knife", "geese": "goose", "calves": "calf"}


def class_of(word: str) -> ClassWeights | None:
    """The detector classes that a noun (singular or plural, one or two words) may mean.

    Example:
        >>> class_of("puppies"), class_of("kettle")
        ({'dog': 1}, None)
    """
    forms = [word, _PLURALS.get(word, word)]
    if word.endswith("s"):
        forms.append(word[:-1])
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    return next((CLASS_WORDS[form] for form in forms if form in CLASS_WORDS), None)


# Colour words -> the measured colour names that count for them.
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black",), "dark": ("black",), "white": ("white",), "grey": ("grey",),
    "gray": ("grey",), "silver": ("grey", "white"), "metallic": ("grey",), "red": ("red",),
    "maroon": ("red", "brown"), "crimson": ("red",), "scarlet": ("red",), "orange": ("orange",),
    "yellow": ("yellow",), "gold": ("yellow", "orange", "brown"), "golden": ("yellow", "brown"),
    "mustard": ("yellow", "orange", "brown"), "green": ("green",), "olive": ("green", "brown"),
    "lime": ("green", "yellow"), "blue": ("blue",), "navy": ("blue", "black"),
    "turquoise": ("blue", "green"), "teal": ("blue", "green"), "cyan": ("blue",),
    "purple": ("purple",), "violet": ("purple",), "pink": ("pink",), "magenta": ("pink", "purple"),
    "brown": ("brown", "orange"), "tan": ("brown",), "beige": ("brown", "white"),
    "cream": ("white", "brown"), "khaki": ("brown", "green"),
}  # fmt: skip

_UPPER = (
    "shirt shirts tshirt t-shirt top blouse jacket coat sweater jumper hoodie vest suit "
    "sweatshirt cardigan blazer jersey uniform polo tank"
)
_LOWER = "jeans trousers pants shorts skirt leggings tights slacks"
# Garments -> the half of a person that they cover.
GARMENTS: dict[str, str] = {
    **dict.fromkeys(_UPPER.split(), "upper"),
    **dict.fromkeys(_LOWER.split(), "lower"),
    **dict.fromkeys("dress gown robe clothes clothing outfit costume apron".split(), "whole"),
}
# Garments that imply a colour when none is named.
GARMENT_COLOURS: dict[str, tuple[str, ...]] = {"jeans": ("blue", "black", "grey")}
# Worn or grown things whose colour the halves of a box cannot show.
UNMEASURED_WEAR = frozenset(
    "hair hat cap helmet shoes shoe boots boot sneakers socks scarf glasses sunglasses beard "
    "gloves mask skin eyes".split()
)

# Verb and direction words -> motion (see cues.MOTIONS). Other forms are found by their stem.
MOTION_WORDS: dict[str, str] = {
    "up": "up", "upward": "up", "upwards": "up", "rise": "up", "ascend": "up",
    "down": "down", "downward": "down", "downwards": "down", "fall": "down", "drop": "down",
    "descend": "down", "sink": "down",
    "run": "fast", "rush": "fast", "sprint": "fast", "race": "fast", "dash": "fast",
    "chase": "fast", "fast": "fast", "quickly": "fast", "gallop": "fast", "fly": "fast",
    "flie": "fast", "hurry": "fast",
    "move": "move", "walk": "move", "go": "move", "come": "move", "roll": "move",
    "travel": "move", "drive": "move", "swim": "move", "crawl": "move", "slide": "move",
    "pass": "move", "goe": "move", "wander": "move", "jog": "move", "cross": "move",
    "slowly": "slow", "slow": "slow",
    "jump": "jump", "bounce": "jump", "hop": "jump", "leap": "jump", "skip": "jump",
    "stop": "stop", "halt": "stop", "pause": "stop",
    "still": "still", "wait": "still", "stand": "still", "sit": "still", "lie": "still",
    "rest": "still", "sleep": "still", "stationary": "still", "motionless": "still",
    "enter": "enter", "appear": "enter", "arrive": "enter", "return": "enter",
    "leave": "leave", "exit": "leave", "disappear": "leave", "depart": "leave", "vanish": "leave",
    "crouch": "lower", "bend": "lower", "kneel": "lower", "squat": "lower", "duck": "lower",
    "stoop": "lower", "bow": "lower",
    "climb": "up",
    "closer": "towards", "nearer": "towards", "away": "away",
}  # fmt: skip
# What a small word after a verb of motion says: "runs out", "comes back".
THROUGH_THE_EDGE = {"out": "leave", "off": "leave", "back": "enter"}
_IRREGULAR = {
    "ran": "run", "went": "go", "came": "come", "flew": "fly", "fell": "fall", "rose": "rise",
    "left": "leave", "sat": "sit", "stood": "stand", "lying": "lie", "lay": "lie", "lain": "lie",
    "swam": "swim", "slid": "slide", "bent": "bend", "knelt": "kneel", "drove": "drive",
    "leapt": "leap", "sprang": "jump", "gone": "go",
}  # fmt: skip


def motion_of(word: str) -> str | None:
    """The motion that a verb in any regular form, or a direction word, speaks of.

    Example:
        >>> motion_of("running"), motion_of("stopped"), motion_of("thinks")
        ('fast', 'stop', None)
    """
    word = _IRREGULAR.get(word, word)
    forms = [word]
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: -len(ending)]
            forms += [stem, stem + "e"]
            if len(stem) > 2 and stem[-1] == stem[-2]:
                forms.append(stem[:-1])
            if stem.endswith("i"):
                forms.append(stem[:-1] + "y")
    return next((MOTION_WORDS[form] for form in forms if form in MOTION_WORDS), None)


SIZE_WORDS: dict[str, str] = {
    "big": "big", "large": "big", "huge": "big", "bigger": "big", "biggest": "big",
    "largest": "big", "tall": "big", "taller": "big", "tallest": "big", "larger": "big",
    "small": "small", "little": "small", "tiny": "small", "smaller": "small",
    "smallest": "small", "short": "small", "shortest": "small",
}  # fmt: skip
POSITION_WORDS: dict[str, str] = {
    "left": "left", "leftmost": "left", "right": "right", "rightmost": "right",
    "middle": "middle", "center": "middle", "centre": "middle", "central": "middle",
    "top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom",
    "foreground": "near", "front": "near", "background": "far", "back": "far",
}  # fmt: skip

# Words that open the mention of another object -> how the two relate.
RELATION_WORDS: dict[str, str] = {
    "above": "above", "over": "above", "below": "below", "under": "below", "beneath": "below",
    "underneath": "below", "towards": "approach", "toward": "approach", "to": "approach",
    "approaches": "approach", "approaching": "approach", "approach": "approach",
    "from": "recede", "off": "recede",
}  # fmt: skip
DETERMINERS = frozenset(
    "the a an this that these those his her its their my your our another some any one two three "
    "each every both".split()
)
POSSESSIVES = frozenset("his her its their my your our".split())
# Words that end a noun phrase.
STOPPERS = frozenset(
    "in on at with without of by near beside behind between next to towards toward from into onto "
    "out off over under above below through across along around during while when where and or "
    "but then who whom which that whose is are was were be been being has have had does do did "
    "can will would wearing holding carrying riding dressed as after before until for against "
    "inside outside beneath underneath past upon".split()
)
FILLERS = frozenset(
    "there here very also again together video clip scene frame camera picture someone's it he "
    "she they him them something's only just still".split()
)
