"""The codes by which countries are known here: ISO 3166-1 alpha-2, and regions written like ISO 3166-2."""

from __future__ import annotations

import re

#: ISO 3166-1 alpha-2, all officially assigned codes.
COUNTRIES = frozenset(
    (
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ "
        "BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
        "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
        "EC EE EG EH ER ES ET FI FJ FK FM FO FR "  # codespell:ignore fo
        "GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU "
        "ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ "
        "LA LB LC LI LK LR LS LT LU LV LY "
        "MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ "
        "NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA "
        "RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ "
        "TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU "
        "WF WS YE YT ZA ZM ZW"
    ).split()
)
#: Where an address is confirmed before it counts (security.md LW-11), whatever a site's file says of them.
EEA = frozenset(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO".split()
)
_REGION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")


def normal(code: object) -> str:
    """A code in any case, with blanks around it: "us-ca " -> "US-CA". "" for what is no country and no region of one."""
    if not isinstance(code, str) or not code.isascii():
        return ""  # "ß".upper() is "SS", which is South Sudan
    code = code.strip().upper()
    return code if country_of(code) else ""


def country_of(code: str) -> str:
    """The country of a region ("US-CA" -> "US") or of itself. "" for what is neither."""
    region = _REGION.fullmatch(code)
    country = region[1] if region else code
    return country if country in COUNTRIES else ""
