/** Lets at most so much in at a time; one caller waits at the door. */
export interface Gate {
  /** Waits until there is room; what is larger than all the room goes in alone. */
  enter(size?: number): Promise<void>;
  leave(size?: number): void;
  empty(): Promise<void>;
}

export function createGate(max: number): Gate {
  let inside = 0;
  let wake: (() => void) | undefined;
  const waitUntil = async (isMet: () => boolean): Promise<void> => {
    while (!isMet()) await new Promise<void>((resolve) => (wake = resolve));
  };
  return {
    async enter(size = 1) {
      await waitUntil(() => inside === 0 || inside + size <= max);
      inside += size;
    },
    leave(size = 1) {
      inside -= size;
      wake?.();
    },
    empty: () => waitUntil(() => inside === 0),
  };
}
