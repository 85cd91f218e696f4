"""Why a row got its answer, and what another version would say."""
