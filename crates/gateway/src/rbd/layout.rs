//! Where the bytes of an image are: its stripes over objects (Ceph `src/osdc/Striper.cc`).

/// How an image's bytes are spread over objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of an object.
    pub object_size: u64,
    /// Bytes of a stripe unit; divides the object's size.
    pub stripe_unit: u64,
    /// Objects that a stripe goes over.
    pub stripe_count: u64,
}

/// A range of an object, and where in the image it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The object's number.
    pub object: u64,
    /// Offset within it, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// Offset in the image, in bytes.
    pub at: u64,
}

impl Layout {
    /// Bytes of a whole set of objects.
    const fn set_size(&self) -> u64 {
        self.object_size * self.stripe_count
    }

    /// How many objects an image of `size` bytes has.
    #[must_use]
    pub const fn objects(&self, size: u64) -> u64 {
        let sets = size.div_ceil(self.set_size());
        let rest = size % self.set_size();
        let all = sets * self.stripe_count;
        // The last set has fewer objects if its first stripe is not full.
        let first_stripe = self.stripe_unit * self.stripe_count;
        if rest > 0 && rest < first_stripe {
            return all - (self.stripe_count - rest.div_ceil(self.stripe_unit));
        }
        all
    }

    /// The pieces of objects that hold a range of the image, in the image's order.
    #[must_use]
    pub fn pieces(&self, offset: u64, length: u64) -> Vec<Piece> {
        let mut out: Vec<Piece> = Vec::new();
        let end = offset.saturating_add(length);
        let mut at = offset;
        while at < end {
            let unit = at / self.stripe_unit;
            let (stripe, in_stripe) = (unit / self.stripe_count, unit % self.stripe_count);
            let per_object = self.object_size / self.stripe_unit;
            let set = stripe / per_object;
            let in_unit = at % self.stripe_unit;
            let piece = Piece {
                object: set * self.stripe_count + in_stripe,
                offset: stripe % per_object * self.stripe_unit + in_unit,
                length: (self.stripe_unit - in_unit).min(end - at),
                at,
            };
            at += piece.length;
            match out.last_mut() {
                Some(last) if last.object == piece.object && last.offset + last.length == piece.offset => {
                    last.length += piece.length;
                }
                _ => out.push(piece),
            }
        }
        out
    }

    /// The pieces of one object, in the object's order.
    #[must_use]
    pub fn pieces_of(&self, object: u64) -> Vec<Piece> {
        let (set, in_stripe) = (object / self.stripe_count, object % self.stripe_count);
        let per_object = self.object_size / self.stripe_unit;
        let mut out: Vec<Piece> = Vec::new();
        for n in 0..per_object {
            let stripe = set * per_object + n;
            let piece = Piece {
                object,
                offset: n * self.stripe_unit,
                length: self.stripe_unit,
                at: (stripe * self.stripe_count + in_stripe) * self.stripe_unit,
            };
            match out.last_mut() {
                Some(last) if last.at + last.length == piece.at => last.length += piece.length,
                _ => out.push(piece),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout {
        object_size: 8,
        stripe_unit: 8,
        stripe_count: 1,
    };
    const STRIPED: Layout = Layout {
        object_size: 8,
        stripe_unit: 4,
        stripe_count: 3,
    };

    #[test]
    fn without_striping_objects_follow_each_other() {
        assert_eq!([0, 1, 8, 9].map(|size| PLAIN.objects(size)), [0, 1, 1, 2]);
        let piece = |object, offset, length, at| Piece {
            object,
            offset,
            length,
            at,
        };
        assert_eq!(PLAIN.pieces(6, 4), [piece(0, 6, 2, 6), piece(1, 0, 2, 8)]);
        assert_eq!(PLAIN.pieces_of(2), [piece(2, 0, 8, 16)]);
    }

    #[test]
    fn stripes_go_over_the_objects_of_a_set() {
        // Units of 4 bytes: 0 1 2 | 3 4 5 in objects 0 1 2, then the next set.
        assert_eq!(
            [1, 4, 5, 12, 13, 24, 25].map(|size| STRIPED.objects(size)),
            [1, 1, 2, 3, 3, 3, 4]
        );
        let piece = |object, offset, length, at| Piece {
            object,
            offset,
            length,
            at,
        };
        assert_eq!(STRIPED.pieces(10, 4), [piece(2, 2, 2, 10), piece(0, 4, 2, 12)]);
        assert_eq!(STRIPED.pieces_of(4), [piece(4, 0, 4, 28), piece(4, 4, 4, 40)]);
    }

    #[test]
    fn every_byte_is_found_again_in_the_piece_of_its_object() {
        for layout in [PLAIN, STRIPED] {
            for at in 0..100 {
                let found = layout.pieces(at, 1)[0];
                let back = layout
                    .pieces_of(found.object)
                    .into_iter()
                    .find(|p| (p.offset..p.offset + p.length).contains(&found.offset));
                let back = back.unwrap();
                assert_eq!(back.at + (found.offset - back.offset), at);
                assert!(layout.objects(at + 1) > found.object);
            }
        }
    }
}
