"""The voices of espeak-ng that sound like adults and speak an English whose phonemes the mouth shapes know."""

ACCENTS = ("en-us", "en-us-nyc", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan")
# Lots are drawn by place in these lists: another order makes other corpora.
VARIANTS = (
    *("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+m8", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak"),
    *("+klatt", "+klatt2", "+klatt3", "+klatt4", "+Andy", "+Annie", "+Denis", "+Jacky", "+Lee", "+Mario", "+Michael"),
    *("+Mike", "+Steph", "+anika", "+aunty", "+belinda", "+benjamin", "+caleb", "+david", "+ed", "+edward", "+iven"),
    *("+john", "+linda", "+max", "+michel", "+norbert", "+pablo", "+paul", "+quincy", "+rob", "+sandro", "+travis"),
)
FEMININE = ("+f1", "+f2", "+f3", "+f4", "+f5", "+Annie", "+Steph", "+anika", "+aunty", "+belinda", "+linda")
MASCULINE = tuple(variant for variant in VARIANTS if variant not in FEMININE)
