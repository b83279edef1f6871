//! Choices: what a generator asks, and bytes or a seed answer.

/// Answers to "which of these?", taken from bytes, so that a fuzzer which changes a byte changes a
/// choice; or from a seed, without end.
#[derive(Clone, Debug)]
pub struct Choices<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Bytes(&'a [u8]),
    Seed(u64),
}

impl Choices<'static> {
    /// Choices without pattern, the same for the same seed.
    pub fn of_seed(seed: u64) -> Choices<'static> {
        Choices(Source::Seed(seed))
    }
}

impl<'a> Choices<'a> {
    /// The choices that these bytes stand for. When they are used up, all that is chosen is the
    /// first of what there is.
    pub fn of_bytes(bytes: &'a [u8]) -> Choices<'a> {
        Choices(Source::Bytes(bytes))
    }

    /// From 0 on, and below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        match &mut self.0 {
            Source::Bytes(bytes) => {
                let mut number = 0;
                let mut reach = 1;
                while reach < end {
                    let Some((first, rest)) = bytes.split_first() else { break };
                    number = number * 256 + usize::from(*first);
                    reach *= 256;
                    *bytes = rest;
                }
                number % end
            }
            Source::Seed(seed) => {
                // SplitMix64, of Steele, Lea and Flood.
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut bits = *seed;
                bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                let bits = bits ^ (bits >> 31);
                usize::try_from(bits % end as u64).expect("it is below a usize")
            }
        }
    }

    /// Once in so many times. Bytes that are used up say no.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// Any of these, of which there is one at least.
    pub fn one_of<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// Whether nothing more can be chosen: a generator that repeats itself stops here.
    pub fn are_over(&self) -> bool {
        matches!(self.0, Source::Bytes([]))
    }

    /// What is left of the bytes; nothing of a seed.
    pub fn rest(&self) -> &'a [u8] {
        match self.0 {
            Source::Bytes(bytes) => bytes,
            Source::Seed(_) => &[],
        }
    }
}
