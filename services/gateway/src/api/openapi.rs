pub fn text() -> &'static str {
    "{}"
}
