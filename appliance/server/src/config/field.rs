//! Field: how the tables say what the configuration file may have and whether it is done.
//!
//! Never: a value or a default that the code does not take.

/// Whether this server does what a field asks.
#[derive(Clone, Copy, Debug)]
pub enum Support {
    /// It does.
    Yes,
    /// It accepts the field, does nothing, and says this.
    Notice(&'static str),
    /// It accepts these values, which ask for what it does anyway; others are refused with this.
    Only(&'static [&'static str], &'static str),
    /// It refuses the field, unless it is empty, with this remedy.
    No(&'static str),
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What its value is, for the reference page.
    pub form: &'static str,
    /// The value of a file that leaves it out, for the reference page.
    pub default: &'static str,
    /// Whether it is done.
    pub support: Support,
    /// What it does.
    pub doc: &'static str,
}

/// The fields of one section.
#[derive(Debug)]
pub struct Table {
    /// Heading on the reference page.
    pub title: &'static str,
    /// The type that upstream's errors name.
    pub type_name: &'static str,
    /// What the section is for.
    pub doc: &'static str,
    /// Its fields, in groups that sections share.
    pub parts: &'static [&'static [Field]],
}

impl Table {
    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The field of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }
}

/// A field that does what it says.
#[must_use]
pub const fn yes(
    name: &'static str,
    form: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Field {
    Field { name, form, default, support: Support::Yes, doc }
}

/// A field that is refused, with what to do instead.
#[must_use]
pub const fn no(name: &'static str, form: &'static str, remedy: &'static str) -> Field {
    Field { name, form, default: "", support: Support::No(remedy), doc: "" }
}

/// A field of which only these values are done.
#[must_use]
pub const fn only(
    name: &'static str,
    form: &'static str,
    values: &'static [&'static str],
    default: &'static str,
    remedy: &'static str,
) -> Field {
    Field { name, form, default, support: Support::Only(values, remedy), doc: "" }
}
