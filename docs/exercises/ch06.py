"""Solutions of the exercises of chapter 6."""


def header_length(second: int) -> int:
    """Bytes of a header, both of the first two included.

    >>> header_length(0x05), header_length(0x85), header_length(0xFE), header_length(0xFF)
    (2, 6, 8, 14)
    """
    extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
    return 2 + extended + (4 if second & 0x80 else 0)


def read_the_wrong_way_round(length: int) -> int:
    """What comes out when one side writes 16 bits low byte first, and the other reads them high byte first.

    >>> read_the_wrong_way_round(200)
    51200
    """
    return int.from_bytes(length.to_bytes(2, "little"), "big")
