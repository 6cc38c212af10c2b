//! What a restore changes in objects and in which order it creates them.
