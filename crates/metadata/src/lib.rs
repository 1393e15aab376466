//! KRaft metadata records, the image folded from them, the controller's decisions.
