/** What all our TCP sockets have in common, dialled or accepted. */

/** Silence after which the kernel probes whether the other host is still there. */
export const KEEPALIVE_DELAY_MS = 30_000;
