//! The Merkle tree over a slot's lines (RFC 6962, section 2.1): its size and its peaks, which are all that going on takes.
//!
//! A leaf is a line without its end; its index is its `seq` less one.

use tlog_tiles::{EMPTY_HASH, Hash, node_hash, record_hash};

/// A tree of 2^64 leaves has no more peaks.
const MOST_PEAKS: usize = 64;

/// A tree that grows leaf by leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    size: u64,
    /// The roots of the perfect subtrees, largest first: one for each bit set in `size`.
    peaks: Vec<Hash>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { size: 0, peaks: Vec::with_capacity(MOST_PEAKS) }
    }
}

impl Tree {
    /// The tree a `segment` record tells of; `None` where the peaks are not those of a tree of that size.
    pub fn from_peaks(size: u64, peaks: &[String]) -> Option<Self> {
        if peaks.len() != size.count_ones() as usize {
            return None;
        }
        let mut tree = Self { size, ..Self::default() };
        for peak in peaks {
            tree.peaks.push(Hash::parse_hash(peak).ok()?);
        }
        Some(tree)
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The peaks as a `segment` record tells them: base64, largest first.
    pub fn peaks(&self) -> Vec<String> {
        self.peaks.iter().map(Hash::to_string).collect()
    }

    /// Adds a line, given without its end. It allocates nothing.
    pub fn push(&mut self, line: &[u8]) {
        self.push_seen(line, &mut |_, _, _| ());
    }

    /// As `push`, and shows each perfect subtree that this leaf completes: its level, its place in the level, its root.
    pub fn push_seen(&mut self, line: &[u8], see: &mut impl FnMut(u8, u64, Hash)) {
        let (mut hash, mut place, mut level) = (record_hash(line), self.size, 0);
        see(level, place, hash);
        while place & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(left, hash);
            place >>= 1;
            level += 1;
            see(level, place, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Shows the peaks as `push_seen` shows subtrees.
    pub fn see_peaks(&self, see: &mut impl FnMut(u8, u64, Hash)) {
        let mut before = 0_u64;
        for (peak, level) in self.peaks.iter().zip((0..64_u8).rev().filter(|level| self.size >> level & 1 == 1)) {
            see(level, before >> level, *peak);
            before += 1 << level;
        }
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        self.peaks.iter().rev().copied().reduce(|right, left| node_hash(left, right)).unwrap_or(EMPTY_HASH)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::RefCell;

    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};
    use tlog_tiles::tlog::Error;
    use tlog_tiles::{HashReader, stored_hash_index, stored_hashes, tree_hash};

    use super::*;

    /// The leaves and roots of Certificate Transparency's reference implementation (`merkle_tree_test.cc`), which other implementations of
    /// RFC 6962 test against too.
    const LEAVES: [&str; 8] = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let mut tree = Tree::default();
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(HEXLOWER.encode(&tree.root().0), *root, "{size}");
            if let Some(leaf) = LEAVES.get(size) {
                tree.push(&HEXLOWER.decode(leaf.as_bytes()).unwrap());
            }
        }
    }

    #[test]
    fn peaks_that_are_not_a_trees_are_none() {
        let hash = EMPTY_HASH.to_string();
        let peaks = |count: usize| vec![hash.clone(); count];
        for (size, peaks, good) in [
            (0, peaks(0), true),
            (0, peaks(1), false),
            (6, peaks(2), true),
            (6, peaks(1), false),
            (6, peaks(3), false),
            (1, vec!["AAAA".into()], false),
            (1, vec![hash.trim_end_matches('=').into()], false),
            (1, vec![format!("{hash} ")], false),
            (u64::MAX, peaks(64), true),
        ] {
            assert_eq!(Tree::from_peaks(size, &peaks).is_some(), good, "{size} {peaks:?}");
        }
    }

    #[test]
    fn a_push_allocates_nothing() {
        let mut tree = Tree::default();
        let room = (tree.peaks.capacity(), tree.peaks.as_ptr());
        for leaf in 0..5000_u32 {
            tree.push(&leaf.to_be_bytes());
        }
        assert_eq!((tree.peaks.capacity(), tree.peaks.as_ptr()), room);
    }

    proptest! {
        #[test]
        fn the_root_is_that_of_the_definition_and_of_the_stored_hashes(leaves in leaves()) {
            let (mut tree, store) = (Tree::default(), Store::default());
            for (index, leaf) in leaves.iter().enumerate() {
                tree.push(leaf);
                let more = stored_hashes(index as u64, leaf, &store).unwrap();
                store.0.borrow_mut().extend(more);
            }
            prop_assert_eq!(tree.size(), leaves.len() as u64);
            prop_assert_eq!(tree.root().0, defined(&leaves));
            prop_assert_eq!(tree.root(), tree_hash(tree.size(), &store).unwrap());
        }

        #[test]
        fn a_tree_goes_on_from_its_peaks_as_if_it_had_not_stopped(leaves in leaves(), at in any::<prop::sample::Index>()) {
            let at = at.index(leaves.len() + 1);
            let mut whole = Tree::default();
            leaves[..at].iter().for_each(|leaf| whole.push(leaf));
            let mut rest = Tree::from_peaks(whole.size(), &whole.peaks()).unwrap();
            leaves[at..].iter().for_each(|leaf| { whole.push(leaf); rest.push(leaf); });
            prop_assert_eq!(rest.root().0, defined(&leaves));
            prop_assert_eq!(rest, whole);
        }

        #[test]
        fn each_subtree_shown_is_the_one_stored_at_its_place(leaves in leaves()) {
            let (mut tree, store) = (Tree::default(), Store::default());
            let mut shown = Vec::new();
            for (index, leaf) in leaves.iter().enumerate() {
                let more = stored_hashes(index as u64, leaf, &store).unwrap();
                store.0.borrow_mut().extend(more);
                tree.push_seen(leaf, &mut |level, place, hash| shown.push((stored_hash_index(level, place), hash)));
            }
            let stored: Vec<(u64, Hash)> = (0..).zip(store.0.borrow().iter().copied()).collect();
            prop_assert_eq!(&shown, &stored);
            tree.see_peaks(&mut |level, place, hash| assert!(stored.contains(&(stored_hash_index(level, place), hash))));
        }
    }

    fn leaves() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..130)
    }

    /// MTH of RFC 6962, section 2.1, as it is written there.
    fn defined(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::digest([&[0], leaf.as_slice()].concat()).into(),
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                Sha256::digest([&[1], defined(&leaves[..k]).as_slice(), &defined(&leaves[k..])].concat()).into()
            }
        }
    }

    #[derive(Default)]
    struct Store(RefCell<Vec<Hash>>);

    impl HashReader for Store {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
            Ok(indexes.iter().map(|index| self.0.borrow()[usize::try_from(*index).unwrap()]).collect())
        }
    }
}
