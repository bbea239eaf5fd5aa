"""What a DICOM file says that it shows: its projection and its body part, in the defined terms.

Both are free words in many files, and codes in others (PS3.3 C.8.11.5: View Code Sequence is type
1 in a DX image, View Position type 3).
"""

import re

# View positions of PS3.3 C.8.1.2 and what is written instead. Decubitus positions (LLD, RLD) are
# frontal projections of a patient who lies on a side.
LATERAL = {"LL", "RL", "LLAT", "RLAT", "LATL", "LATR", "LATLL", "LATRL", "LTLAT", "RTLAT", "LAT"}
LATERAL |= {"LLATERAL", "RLATERAL", "LLV", "RLV"}
OBLIQUE = {"LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBL", "LOBL", "ROBL"}
# DX View, PS3.16 CID 4010, in SNOMED CT and in the SNOMED RT codes that older files hold.
LATERAL_CODES = {"399067008", "399173006", "399198007", "399352003", "399260004"}
LATERAL_CODES |= {"R-102CD", "R-10236", "R-10232", "R-10228", "R-10224"}
OBLIQUE_CODES = {"399135007", "399184004", "399006002", "399182000", "399356000", "399236003"}
OBLIQUE_CODES |= {"399038007", "260427002", "399099002", "399368009", "260426006", "399160007"}
OBLIQUE_CODES |= {"399312000", "399059000", "R-10220", "R-10238", "R-10212", "R-102C1", "R-40985"}
OBLIQUE_CODES |= {"R-10234", "R-10210", "R-40783", "R-10230", "R-10226", "R-40782", "R-10204"}
OBLIQUE_CODES |= {"R-10208", "R-10216"}
# A lateral image in other languages, in which these words say nothing else of a projection.
ELSEWHERE_LATERAL = r"SEITL\w*|PROFILE?|PERFIL|LATERALE|(LATERO ?)+LATERALE?"
CHEST_WORDS = r"CHEST(PA|AP|LAT)?|THORAX(PA|AP)?|TORAX|THORACIC|LUNGS?|LUNGEN?|PULMON\w*|P?CXR"
CHEST_WORDS += r"|BRUSTKORB|TORACE|POUMONS?|BORSTKAS"
NOT_CHEST_WORDS = r"SPINE|VERTEBRA\w*|T-?SPINE|RIBS?|STERNUM|CLAVICLE|SHOULDER|ABDOMEN|PELVIS"
NOTHING = {"UNKNOWN", "OTHER", "UNDEFINED", "UNSPECIFIED", "NONE", "NA", "DEFAULT"}
# Chest, thorax, lung, both lungs: PS3.16 CID 4009 and 4031, SNOMED CT and RT.
CHEST_CODES = {"51185008", "816094009", "39607008", "74101002", "T-D3000", "T-28000"}


def projection_of(position: str, codes: tuple[str, ...], meanings: tuple[str, ...]) -> str:
    """ "LATERAL" or "OBLIQUE" where either the View Position or a view code says so.

    Otherwise the View Position in capitals; where that is empty, the meaning of the code.
    """
    stated = position.upper()
    joined = re.sub(r"[^A-Z]", "", stated)
    words = " ".join((stated, *meanings)).upper()
    if stated in ("LL", "RL", "LATERAL", "LLO", "RLO", "LAT"):
        return stated
    decubitus = re.search(r"DECUB|\bL?R?LD\b", words)
    if any(code in OBLIQUE_CODES for code in codes) or joined in OBLIQUE:
        return "OBLIQUE"
    if any(code in LATERAL_CODES for code in codes) or joined in LATERAL:
        return "LATERAL"
    if not decubitus and re.search(rf"\b({ELSEWHERE_LATERAL})\b|^(LL|RL)\b", words):
        return "LATERAL"
    if not decubitus and re.search(r"(?<![A-Z])(LAT|LATERAL|L-?LAT|R-?LAT)(?![A-Z])", words):
        return "LATERAL"
    if re.search(r"(?<![A-Z])OBL(IQUE)?(?![A-Z])|\b[LR][AP]O\b", words):
        return "OBLIQUE"
    return stated or "".join(meanings[:1]).upper()


def body_part_of(stated: str, codes: tuple[str, ...], meanings: tuple[str, ...]) -> str:
    """ "CHEST" where the file says so in other words, nothing where it says that it does not know.

    Otherwise the words in capitals; where there are none, what the anatomic region's code means.
    """
    said = stated.upper().strip()
    if re.sub(r"[^A-Z]", "", said) in NOTHING:
        said = ""
    if not said:
        if any(code in CHEST_CODES for code in codes):
            return "CHEST"
        said = "".join(meanings[:1]).upper()
    words = re.sub(r"[^A-Z-]+", " ", said)
    if re.search(rf"\b({NOT_CHEST_WORDS})\b", words):
        return said
    return "CHEST" if re.search(rf"\b({CHEST_WORDS})\b", words) else said
