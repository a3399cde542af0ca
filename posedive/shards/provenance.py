"""Where a picture comes from, said in its own bytes: a JPEG -> the same JPEG with an XMP packet.

The packet holds IPTC's Digital Source Type ("trained algorithmic media"), which browsers, editors
and search engines read, and the licence, so that a picture that leaves its set takes it along;
reference, weights, seed, pose, view and scores are in the sample's JSON.
"""

from posedive.errors import ShardError

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# The two controls have no network: a collage of real pixels, and a renderer's picture.
CONTROLS = {"composite": "compositeSynthetic", "oracle": "algorithmicMedia"}

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
xmlns:dc="http://purl.org/dc/elements/1.1/" Iptc4xmpExt:DigitalSourceType="{}">
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"


def digital_source_type(generator: str) -> str:
    """IPTC's term for what `generator` makes: weights, or the name of a control."""
    return SOURCE_TYPES + CONTROLS.get(generator, "trainedAlgorithmicMedia")


def with_provenance(jpeg: bytes, source_type: str, licence: str) -> bytes:
    """`jpeg` with a packet that names source_type and licence as its APP1 segment; the rest stays.

    Raises ShardError for what is no JPEG.
    """
    if not jpeg.startswith(b"\xff\xd8\xff"):
        raise ShardError(f"expected a JPEG to mark as generated, got {jpeg[:4]!r}")
    at = 2
    if jpeg[2:4] == b"\xff\xe0":  # JFIF's own segment is to be the first
        at += 2 + int.from_bytes(jpeg[4:6], "big")
    content = _NAMESPACE + _PACKET.format(source_type, licence).encode()
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    return jpeg[:at] + segment + jpeg[at:]
