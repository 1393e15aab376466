//! Offset index, time index and aborted-transaction index of one segment.
