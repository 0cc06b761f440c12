//! A short hash of the rules by which a view is made. Nodes with the same rules have the same one, so it can stand in addresses that
//! caches keep.

use aws_lc_rs::digest::{Context, SHA256};

use super::{PUBLIC, Taxonomy, Views};
use crate::tail::pages::View;

/// Hashes parts, each with its length, so that no two lists of parts hash alike.
pub struct Fingerprint(Context);

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint")
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Fingerprint {
    /// Adds a part.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(part);
    }

    /// Adds listed types with their public fields, in an order that does not depend on the map that holds them.
    fn add_types<'a>(&mut self, types: impl Iterator<Item = (&'a str, Vec<&'a str>)>) {
        let mut types: Vec<_> = types.collect();
        types.sort_unstable();
        for (name, mut fields) in types {
            fields.sort_unstable();
            self.add(name);
            fields.iter().for_each(|field| self.add(field));
            // An empty field ends the list: the name of the next type is no field of this one.
            self.add("");
        }
    }

    /// The first 32 bits of the hash.
    pub fn finish(self) -> u32 {
        self.0.finish().as_ref().first_chunk().map_or(0, |first| u32::from_be_bytes(*first))
    }
}

impl Views {
    /// Adds every rule by which this view shows events: the redaction of this version and of this configuration and, for the
    /// public view, the taxonomy.
    pub fn add_rules(&self, view: View, into: &mut Fingerprint) {
        into.add(env!("CARGO_PKG_VERSION"));
        into.add(view.0.to_be_bytes());
        self.redaction.more_keys().iter().for_each(|key| into.add(key));
        if view == PUBLIC {
            into.add_types(self.taxonomy().types());
        }
    }

    /// Adds the rules by which the public view shows the fields of one published table. The private view has none that a table
    /// could change by.
    pub fn add_rules_of_table(&self, view: View, prefix: &str, into: &mut Fingerprint) {
        into.add(view.0.to_be_bytes());
        if view == PUBLIC {
            let taxonomy: &Taxonomy = self.taxonomy();
            into.add_types(
                taxonomy.types_of(prefix).map(|(name, fields)| (name, fields.iter().map(String::as_str).collect())),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Known, PRIVATE, Redaction};

    fn views(types: &[(&str, &[&str])], more_keys: &[&str], version: u64) -> Views {
        let types =
            types.iter().map(|(name, fields)| ((*name).to_owned(), fields.iter().map(|f| (*f).to_owned()).collect()));
        let taxonomy = types.collect::<Taxonomy>();
        Views::new(Redaction::with(more_keys), Known { version, taxonomy: std::sync::Arc::new(taxonomy) })
    }

    fn print(views: &Views, view: View) -> u32 {
        let mut print = Fingerprint::default();
        views.add_rules(view, &mut print);
        print.finish()
    }

    #[test]
    fn the_same_rules_have_the_same_fingerprint_in_any_order_and_other_rules_another() {
        let one = views(&[("a.b", &["x", "y"]), ("a.c", &[])], &["k", "l"], 1);
        let same = views(&[("a.c", &[]), ("a.b", &["y", "x"])], &["l", "k"], 7);
        assert_eq!(print(&one, PUBLIC), print(&same, PUBLIC));
        for other in [
            views(&[("a.b", &["x"]), ("a.c", &["y"])], &["k", "l"], 1),
            views(&[("a.b", &["x", "y", "a.c"])], &["k", "l"], 1),
            views(&[("a.b", &["x", "y"])], &["k", "l"], 1),
            views(&[("a.b", &["x", "y"]), ("a.c", &[])], &["k"], 1),
        ] {
            assert_ne!(print(&one, PUBLIC), print(&other, PUBLIC));
        }
        assert_ne!(print(&one, PUBLIC), print(&one, PRIVATE));
        assert_eq!(
            print(&one, PRIVATE),
            print(&views(&[], &["k", "l"], 1), PRIVATE),
            "the private view has no taxonomy"
        );
    }

    #[test]
    fn the_rules_of_a_table_are_those_of_its_own_types() {
        let of = |views: &Views, view| {
            let mut print = Fingerprint::default();
            views.add_rules_of_table(view, "shop.orders", &mut print);
            print.finish()
        };
        let one = views(&[("shop.orders.inserted", &["id"])], &[], 1);
        let other_table = views(&[("shop.orders.inserted", &["id"]), ("shop.items.inserted", &["id"])], &["k"], 2);
        let more_fields = views(&[("shop.orders.inserted", &["id", "total"])], &[], 3);
        assert_eq!(of(&one, PUBLIC), of(&other_table, PUBLIC));
        assert_ne!(of(&one, PUBLIC), of(&more_fields, PUBLIC));
        assert_eq!(of(&one, PRIVATE), of(&more_fields, PRIVATE));
    }
}
