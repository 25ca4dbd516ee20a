/** What a change changed, member by member. */
export interface Difference {
  /** The way to the member: `limits.rate`. */
  path: string
  before: string | null
  after: string | null
}

function flatten(value: unknown, path: string, into: Map<string, string>): void {
  if (value === null || value === undefined) return
  if (typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${key}` : key, into)
  } else {
    into.set(path, typeof value === 'string' ? value : JSON.stringify(value))
  }
}

/** Only what differs; members in the order in which they were first met. */
export function differences(before: unknown, after: unknown): Difference[] {
  const [old, fresh] = [new Map<string, string>(), new Map<string, string>()]
  flatten(before, '', old)
  flatten(after, '', fresh)
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .map((path) => ({ path, before: old.get(path) ?? null, after: fresh.get(path) ?? null }))
    .filter((one) => one.before !== one.after)
}
