"""What paint colours by: the rows of numbers that are materials, and the body's landmarks.

A material is one row of MATERIAL_FIELDS numbers, its kind first. Numbers, not objects, because
the compiled shader reads them.
"""

SKIN, UPPER, LOWER, SKIRT, SHOE, HAIR, BAG, CAP = range(8)

# Every kind. MAIN, SECOND and THIRD are colours, three numbers each, linear RGB.
KIND, PATTERN, MAIN, SECOND, THIRD = 0, 1, 2, 5, 8
PERIOD, FRONT_PRINT, BACK_PRINT, PRINT_SIZE, FOLD, TRIM, GLOSS, SEED = range(11, 19)
# Cloth: where it ends, where a colour block begins, which straps cross it (1 backpack, 2 bag).
HEM_Y, SLEEVE_X, BLOCK_Y, STRAPS, STRAP = 19, 20, 21, 22, 23
LACES_X, SHOE_STYLE = 20, 22
# Skin: three numbers each for lips, hair, socks, iris.
LIPS, HAIR_COLOUR, BEARD, GLASSES, CROPPED, SOCKS_Y, SOCKS, BROWS = 5, 8, 11, 12, 19, 20, 21, 24
IRIS = 26
MATERIAL_FIELDS = 30

PATTERNS = (
    "plain", "stripes", "pinstripes", "checks", "block", "sleeves", "camouflage", "dots", "denim",
    "band",
)  # fmt: skip
(PLAIN, STRIPES, PINSTRIPES, CHECKS, BLOCK, SLEEVES, CAMOUFLAGE, DOTS, DENIM, BAND) = range(10)
PRINTS = ("none", "disc", "box", "text", "stripe", "triangle", "star")
NO_PRINT, DISC, BOX, TEXT, STRIPE, TRIANGLE, STAR = range(7)

# Bits of TRIM.
TRIM_HEM, TRIM_BUTTONS, TRIM_POCKETS = 1, 2, 4

# Landmarks of the mean body at rest, metres; scripts/build_wardrobe.py measures them.
MARKS = (
    "eye_x", "eye_y", "eye_z", "nose_y", "nose_z", "chin_y", "crown_y", "ear_y", "ear_z",
    "shoulder_x", "wrist_x", "chest_y", "waist_y", "hip_y", "knee_y", "ankle_y", "axis_z",
    "hip_x", "neck_y", "ear_x", "crotch_y", "elbow_x", "hand_x", "neck_z", "sole_y",
)  # fmt: skip
(EYE_X, EYE_Y, EYE_Z, NOSE_Y, NOSE_Z, CHIN_Y, CROWN_Y, EAR_Y, EAR_Z, SHOULDER_X, WRIST_X, CHEST_Y,
 WAIST_Y, HIP_Y, KNEE_Y, ANKLE_Y, AXIS_Z, HIP_X, NECK_Y, EAR_X, CROTCH_Y, ELBOW_X, HAND_X, NECK_Z,
 SOLE_Y) = range(25)  # fmt: skip
