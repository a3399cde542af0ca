"""An identity becomes one mesh: skin where it shows, clothes cut from the wardrobe at their hems.

In: Identity, Wardrobe. Out: Outfit, at rest, with its betas in it; `canonical` says where each
vertex lies on the undressed mean body, which is what paint colours by.
"""

import numpy as np
from numba import njit

from posedive.datasets.embedded import materials as mat
from posedive.datasets.embedded.identities import Cloth, Identity, Lower, Upper
from posedive.datasets.embedded.noise import noise3
from posedive.datasets.embedded.tailor import Outfit, Tailor
from posedive.datasets.embedded.wardrobe import Wardrobe


def dress(who: Identity, wardrobe: Wardrobe, seed: int) -> Outfit:
    fitting = Fitting(who, wardrobe, seed)
    fitting.lower()
    outer_ease = fitting.tops()
    shoe_y = fitting.shoes()
    _hair(fitting.tailor, who, wardrobe, seed + 5, outer_ease)
    fitting.things()
    faces = wardrobe.pieces["body"][1]
    shown = faces[~fitting.hidden[faces].all(1)]
    fitting.tailor.add_faces("body", shown, 0.0, _skin(who, shoe_y, seed))
    return fitting.tailor.outfit(wardrobe.joints(who.betas))


class Fitting:
    """Dresses one person from the legs up, and keeps which of the skin is hidden by it."""

    def __init__(self, who: Identity, wardrobe: Wardrobe, seed: int):
        self.who, self.wardrobe, self.seed, self.marks = who, wardrobe, seed, wardrobe.marks
        self.tailor = Tailor(wardrobe, wardrobe.shaped(who.betas))
        self.body = wardrobe.template[wardrobe.pieces["body"][0]]
        rows = wardrobe.pieces["tights"][0]
        self.tights, self.normals = wardrobe.template[rows], wardrobe.normals[rows]
        self.loose = wardrobe.ease[rows]
        self.hidden = np.zeros(len(self.body), bool)
        self.tucked = who.upper.hem < 0.05

    def lower(self) -> None:
        lower, marks, y = self.who.lower, self.marks, self.body[:, 1]
        # Trousers stop under the top, which then can't be pierced by them; or the top under the
        # belt.
        top_y = marks[mat.WAIST_Y]
        if not self.tucked:
            tops = [top for top in (self.who.upper, self.who.jacket) if top is not None]
            top_y = min(max(_hem_y(top, marks) for top in tops) + 0.05, top_y)
        if lower.kind == "skirt":
            end_y = _between(marks[mat.HIP_Y], marks[mat.ANKLE_Y] + 0.03, lower.length)
            self.skirt(lower, top_y, end_y, self.seed + 1)
            self.hidden |= (y < top_y - 0.04) & (y > end_y + 0.10)
            return
        end_y = _between(marks[mat.CROTCH_Y] + 0.03, marks[mat.ANKLE_Y] - 0.012, lower.length)
        thick = lower.ease + (self.who.upper.ease + 0.004 if self.tucked else 0.0)
        offset = thick * self.normals + lower.flare * self.loose
        field = np.minimum(top_y - self.tights[:, 1], self.tights[:, 1] - end_y)
        cloth = _cloth(lower.cloth, mat.LOWER, self.seed + 1, hem_y=end_y, marks=marks)
        self.tailor.add("tights", field, offset, cloth)
        inside = (y < top_y - 0.04) & (y > end_y + 0.025)
        self.hidden |= inside & (np.abs(self.body[:, 0]) < 0.5)

    def tops(self) -> float:
        """The shirt, and the jacket over it; how far the outermost stands off the skin, metres."""
        who, marks, tights = self.who, self.marks, self.tights
        upper, jacket = who.upper, who.jacket
        ease = upper.ease if self.tucked else max(upper.ease, who.lower.ease + 0.007)
        if who.lower.kind == "skirt" and not self.tucked:
            ease = max(ease, 0.02)
        field = _upper_field(upper, tights, marks)
        if jacket is not None:  # only what shows in its opening and at the neck
            shown = max(jacket.opening, 0.01) + 0.05 - np.abs(tights[:, 0])
            shown = np.where(tights[:, 2] > 0.0, shown, -0.01)
            field = np.minimum(field, np.maximum(shown, tights[:, 1] - marks[mat.NECK_Y] + 0.1))
        self._top(upper, field, ease, upper.boxy * (1.0 if jacket is None else 0.6), self.seed + 2)
        if jacket is None:
            return ease
        ease = max(jacket.ease, ease + 0.009)
        field = _upper_field(jacket, tights, marks)
        self._top(jacket, field, ease, jacket.boxy, self.seed + 3)
        if jacket.hem > 0.6:
            tail = Lower(jacket.cloth, "skirt", 1.0, ease - 0.004, 0.25)
            self.skirt(tail, 0.03, _hem_y(jacket, marks), self.seed + 3, jacket.opening)
        return ease

    def _top(self, top: Upper, field, ease: float, boxy: float, seed: int) -> None:
        strap = self.who.backpack or self.who.shoulder_bag
        straps = 0 if strap is None else 1 if self.who.backpack is not None else 2
        cloth = _cloth(top.cloth, mat.UPPER, seed, hem_y=_hem_y(top, self.marks), marks=self.marks,
                       sleeve_x=_sleeve_x(top, self.marks), straps=straps, strap=strap)  # fmt: skip
        self.tailor.add("tights", field, ease * self.normals + boxy * self.loose, cloth)
        self.hidden |= _upper_field(top, self.body, self.marks) > 0.022

    def skirt(self, lower: Lower, top_y: float, end_y: float, seed: int, opening=0.0) -> None:
        rows = self.wardrobe.pieces["skirt"][0]
        points = self.wardrobe.template[rows]
        drop = np.clip(0.05 - points[:, 1], 0, None)
        angle = np.arctan2(points[:, 0], points[:, 2] - self.marks[mat.AXIS_Z])
        pleats = 0.05 * lower.flare * drop * np.sin(angle * 9 + seed)
        offset = (lower.ease + pleats)[:, None] * self.wardrobe.normals[rows]
        offset = offset + lower.flare * self.wardrobe.ease[rows]
        field = np.minimum(top_y - points[:, 1], points[:, 1] - end_y)
        if opening > 0:
            gape = np.abs(points[:, 0]) - opening * 1.2 - 0.12 * drop
            field = np.where(points[:, 2] > 0, np.minimum(field, gape), field)
        cloth = _cloth(lower.cloth, mat.SKIRT, seed, hem_y=end_y, marks=self.marks)
        self.tailor.add("skirt", field, offset, cloth)

    def shoes(self) -> float:
        """Height where they end."""
        marks, tights = self.marks, self.tights
        shoe_y = float(marks[mat.ANKLE_Y] + 0.015 + self.who.shoe_height * 0.3)
        field = np.where(np.abs(tights[:, 0]) < 0.5, shoe_y - tights[:, 1], -1)
        offset = 0.006 * self.normals
        offset[:, 1] = np.where(tights[:, 1] < marks[mat.SOLE_Y] + 0.03, -0.012, offset[:, 1])
        row = _cloth(self.who.shoes, mat.SHOE, self.seed + 4, marks=marks)
        row[mat.LACES_X] = marks[mat.HIP_X] + 0.02
        row[mat.SHOE_STYLE] = (self.seed * 7 % 11) / 11
        self.tailor.add("tights", field, offset, row)
        self.hidden |= self.body[:, 1] < shoe_y - 0.03
        return shoe_y

    def things(self) -> None:
        who, marks = self.who, self.marks
        if who.hood:
            cloth = (who.jacket or who.upper).cloth
            row = _cloth(cloth, mat.CAP, self.seed + 3, marks=marks)
            self.tailor.add("hood", None, 0.012, row)
        for name, bag in (
            ("backpack", who.backpack),
            ("shoulder_bag", who.shoulder_bag),
            ("hand_bag", who.hand_bag),
            ("handle", who.hand_bag),
        ):
            if bag is not None:
                row = _cloth(bag, mat.BAG, self.seed + 6, marks=marks)
                middle = self.wardrobe.template[self.wardrobe.pieces[name][0], 1].mean()
                row[mat.BLOCK_Y] = middle + 0.02
                self.tailor.add(name, None, 0.012 if who.jacket is not None else 0.0, row)


def _between(high: float, low: float, share: float) -> float:
    return high + (low - high) * share


def _hem_y(upper: Upper, marks: np.ndarray) -> float:
    stops = (marks[mat.WAIST_Y] - 0.06, marks[mat.CROTCH_Y] - 0.14, marks[mat.KNEE_Y] - 0.12)
    return float(np.interp(upper.hem, [0, 1, 2], stops))


def _sleeve_x(upper: Upper, marks: np.ndarray) -> float:
    if upper.sleeve == 0:
        return float(marks[mat.SHOULDER_X] - 0.025)
    return _between(marks[mat.SHOULDER_X], marks[mat.WRIST_X] + 0.01, upper.sleeve)


def _upper_field(upper: Upper, p: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Positive inside the garment: above its hem, before its cuffs, below its neckline."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    field = y - max(_hem_y(upper, marks), marks[mat.CROTCH_Y] + 0.0)
    arm = (y > marks[mat.CHEST_Y] + 0.05) & (x > 0.1)
    field = np.where(arm, np.minimum(field, _sleeve_x(upper, marks) - x), field)
    # The neck's base leans: low in front, high behind.
    if upper.neckline >= 2:
        neck = marks[mat.NECK_Y] + 0.035 - y - 0.3 * z
    else:
        neck = marks[mat.NECK_Y] - 0.012 - y - 0.5 * z
        front = np.clip((z - 0.0) / 0.05, 0, 1)
        neck = neck - front * 0.085 * upper.neckline * np.clip(1 - x / 0.06, 0, 1)
        if upper.sleeve == 0:
            neck = neck - 0.03 * np.clip(1 - x / 0.11, 0, 1) * (x < 0.12)
    field = np.minimum(field, neck)
    if upper.opening > 0:
        gape = upper.opening * (0.7 + 0.5 * np.clip((0.35 - y) / 0.4, 0, 1))
        field = np.where((z > 0) & (x < 0.16), np.minimum(field, x - gape), field)
    return field


def _hair(tailor, who: Identity, wardrobe: Wardrobe, seed: int, outer_ease: float) -> None:
    marks = wardrobe.marks
    rows = wardrobe.pieces["hair"][0]
    p = wardrobe.template[rows]
    row = _cloth(Cloth(np.stack([who.hair_colour] * 3), fold_m=0.004), mat.HAIR, seed, marks=marks)
    unit = marks[mat.EYE_X]
    angle = np.arctan2(p[:, 0], p[:, 2] - marks[mat.EAR_Z] + 0.01)
    turned = np.abs(angle)
    brow = marks[mat.EYE_Y] + unit * 1.75
    ear, nape = marks[mat.EAR_Y], marks[mat.EAR_Y] - 0.055
    low = {"short": nape, "bob": marks[mat.CHIN_Y] - 0.01, "long": marks[mat.CHEST_Y] + 0.02,
           "ponytail": nape, "bun": nape, "cropped": nape, "bald": nape}[who.hair]  # fmt: skip
    side = {"bob": marks[mat.CHIN_Y], "long": marks[mat.CHIN_Y] - 0.06}.get(who.hair, ear + 0.012)
    fringe = brow - (0.022 if who.hair in ("bob", "long") and seed % 3 == 0 else 0.0)
    around = [0.0, 0.75, 0.98, 1.25, 1.75, 2.1, np.pi]
    heights = [fringe, fringe, fringe - 0.02, side, min(side, ear - 0.01), low, low]
    hem = np.interp(turned, around, heights)
    field = p[:, 1] - hem
    if who.cap is not None:
        cap = _cloth(who.cap, mat.CAP, seed + 1, marks=marks)
        cap[mat.BLOCK_Y] = brow + 0.03
        tailor.add("hair", p[:, 1] - (brow - 0.004 * np.cos(angle)), 0.014, cap)
        tailor.add("brim", None, 0.0, cap)
        field = np.minimum(field, brow + 0.004 - p[:, 1])
    if who.hair in ("bald", "cropped"):
        return
    lift = noise3_at(p * 18, seed)
    top = np.clip((p[:, 1] - ear) / 0.1, 0, 1)
    thick = 0.007 + who.hair_volume * (0.006 + 0.012 * top * lift + 0.008 * top)
    if who.hair in ("ponytail", "bun"):
        thick = 0.006 + 0.004 * lift
    if low > ear - 0.06:  # cut hair thins out towards its edge
        thick = thick * np.clip(0.25 + field / 0.05, 0.25, 1)
    thick = thick + (outer_ease + 0.006) * np.clip((marks[mat.NECK_Y] - p[:, 1]) / 0.06, 0, 1)
    tailor.add("hair", field, thick[:, None] * wardrobe.normals[rows], row)
    if who.hair == "bun":
        tailor.add("bun", None, 0.004 * who.hair_volume, row)
    if who.hair == "ponytail":
        tailor.add("tail", None, 0.004 * who.hair_volume, row)


def _cloth(cloth: Cloth, kind, seed, *, marks, hem_y=-9.0, sleeve_x=9.0, straps=0, strap=None):
    row = np.zeros(mat.MATERIAL_FIELDS)
    row[mat.KIND], row[mat.PATTERN] = kind, mat.PATTERNS.index(cloth.pattern)
    row[mat.MAIN : mat.MAIN + 9] = cloth.colours.ravel()
    row[mat.PERIOD], row[mat.PRINT_SIZE] = cloth.period_m, cloth.print_size_m
    row[mat.FRONT_PRINT] = mat.PRINTS.index(cloth.front_print)
    row[mat.BACK_PRINT] = mat.PRINTS.index(cloth.back_print)
    row[mat.FOLD], row[mat.TRIM], row[mat.GLOSS] = cloth.fold_m, cloth.trim, cloth.gloss
    row[mat.SEED], row[mat.HEM_Y], row[mat.SLEEVE_X] = seed, hem_y, sleeve_x
    row[mat.STRAPS] = straps
    row[mat.BLOCK_Y] = marks[mat.CHEST_Y] + 0.06 - 0.25 * ((seed * 13) % 17) / 17
    if kind in (mat.LOWER, mat.SKIRT):
        row[mat.BLOCK_Y] = hem_y + 0.2
    if strap is not None:
        row[mat.STRAP : mat.STRAP + 3] = strap.colours[0] * 0.8
    return row


def _skin(who: Identity, shoe_y: float, seed: int) -> np.ndarray:
    row = np.zeros(mat.MATERIAL_FIELDS)
    row[mat.KIND], row[mat.SEED] = mat.SKIN, seed
    row[mat.MAIN : mat.MAIN + 3] = who.skin
    row[mat.LIPS : mat.LIPS + 3] = who.lips
    row[mat.HAIR_COLOUR : mat.HAIR_COLOUR + 3] = np.minimum(who.hair_colour, who.skin * 0.9)
    row[mat.IRIS : mat.IRIS + 3] = who.iris
    row[mat.BEARD] = who.beard
    row[mat.GLASSES] = who.glasses * (2.0 if seed % 4 == 0 else 1.0)  # 2: dark ones
    row[mat.CROPPED] = {"bald": 0.0, "cropped": 0.85}.get(who.hair, 0.95)
    row[mat.SOCKS_Y] = shoe_y + 0.02 + 0.12 * ((seed * 5) % 7) / 7
    row[mat.SOCKS : mat.SOCKS + 3] = who.socks
    row[mat.BROWS] = 0.6 + 0.4 * ((seed * 3) % 5) / 5
    return row


def noise3_at(points: np.ndarray, seed: int) -> np.ndarray:
    return _noise3_at(points.astype(np.float64), seed)


@njit(cache=True)
def _noise3_at(points, seed):
    out = np.empty(len(points))
    for i in range(len(points)):
        out[i] = noise3(points[i, 0], points[i, 1], points[i, 2], seed)
    return out
