/** The keys that move within a list: from a row to another, of so many. */
const SCREEN = 15

const STEPS: Record<string, (at: number, count: number) => number> = {
  ArrowDown: (at) => at + 1,
  j: (at) => at + 1,
  ArrowUp: (at) => at - 1,
  k: (at) => at - 1,
  PageDown: (at) => at + SCREEN,
  PageUp: (at) => at - SCREEN,
  Home: () => 0,
  End: (_, count) => count - 1,
}

/** Where this key leads; null if it doesn't move. */
export function step(key: string, at: number, count: number): number | null {
  const move = STEPS[key]
  return move && count > 0 ? Math.min(Math.max(move(at, count), 0), count - 1) : null
}
