"""What formats bind to one meaning: codings of a concept, and local times to instants."""
