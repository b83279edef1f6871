//! Numbers without pattern, the same for the same seed.

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 on, and below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64, of Steele, Lea and Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % end as u64).expect("it is below a usize")
    }

    pub(crate) fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
