//! Capabilities that nodes tell one another in the handshake (erts, `dist.h`).

use super::frames::Form;

/// What this node offers: what BEAM nodes of OTP 25 and 27 do, without fragments (their frames are another format), and
/// without `PUBLISHED`, which makes it hidden.
pub(super) const OURS: u64 = 0xD_075F_7FBC;

/// Messages begin with a distribution header.
const HEADERS: u64 = 0x2000;

/// What a peer must offer: OTP 25's own mandatory set.
const MANDATORY: u64 = 0x107_0F94;
/// Stands for all of the mandatory set (OTP 25 and later).
const MANDATORY_25_DIGEST: u64 = 0x400_0000;
/// Mandatory from OTP 26 on: `UNLINK_ID` and `V4_NC`. Without them a peer cannot read the ids that this node sends.
const MANDATORY_26: u64 = 0x200_0000 | 1 << 34;
/// The peer asks to be given a name.
const NAME_ME: u64 = 1 << 33;

/// The form of the frames between this node and a peer that agreed on these capabilities. C nodes know no headers.
pub(super) fn form(agreed: u64) -> Form {
    if agreed & HEADERS == 0 { Form::PassThrough } else { Form::Header }
}

/// What of the mandatory capabilities a peer lacks; 0 if nothing.
pub(super) fn missing(theirs: u64) -> u64 {
    let basic = if theirs & MANDATORY_25_DIGEST != 0 { 0 } else { MANDATORY & !theirs };
    basic | (MANDATORY_26 & !theirs)
}

/// What is offered to a peer: one that asks to be given a name must see that this was understood.
pub(super) fn offered(theirs: u64) -> u64 {
    OURS | theirs & NAME_ME
}

/// Whether the peer asks to be given a name.
pub(super) fn wants_name(theirs: u64) -> bool {
    theirs & NAME_ME != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_nodes_have_what_is_needed_and_an_empty_set_does_not() {
        for real in [0xD_07DF_7FBC, 0xD_07DF_7FBD, 0x6D_07DF_7FBC, OURS] {
            assert_eq!(missing(real), 0, "{real:x}");
        }
        assert_eq!(missing(4), (MANDATORY | MANDATORY_26) & !4);
    }
}
