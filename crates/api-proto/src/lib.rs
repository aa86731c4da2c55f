//! api-proto
