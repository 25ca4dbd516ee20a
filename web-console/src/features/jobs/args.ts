/** What is looked for in arguments: `run_id=7 kind=x` for people, a JSON object for the API. */

/** The object; null if it can't be read. */
export function readArgs(text: string): Record<string, unknown> | null {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) {
    try {
      const value: unknown = JSON.parse(trimmed)
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
    } catch {
      return null
    }
  }
  const found: Record<string, unknown> = {}
  for (const [whole, name, value] of trimmed.matchAll(/([\w.-]+)\s*[=:]\s*("(?:\\.|[^"\\])*"|[^\s,]+)/g)) {
    if (!whole || !name || value === undefined) return null
    found[name] = word(value)
  }
  return Object.keys(found).length > 0 ? found : null
}

/** Numbers, true, false, null and quoted texts are what they look like; all else is text. */
function word(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? text : value
  } catch {
    return text
  }
}

/** As the API takes it in a query. */
export function argsQuery(text: string): string {
  const args = readArgs(text)
  return args ? JSON.stringify(args) : text
}
