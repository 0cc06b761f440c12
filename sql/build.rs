//! The migrations are part of the program: a new file among them makes it a new one.

fn main() {
    println!("cargo::rerun-if-changed=sql/migrations");
}
