/** JSON cut into pieces of one kind each, to be coloured. Only ever shown as text. */
export interface Piece {
  kind: 'key' | 'string' | 'number' | 'word' | 'plain'
  text: string
}

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g

export function pieces(json: string): Piece[] {
  const found: Piece[] = []
  let end = 0
  const plain = (to: number) => {
    if (to > end) found.push({ kind: 'plain', text: json.slice(end, to) })
  }
  for (const match of json.matchAll(TOKEN)) {
    const [whole, string, colon, number] = match
    plain(match.index)
    if (string !== undefined) {
      found.push({ kind: colon === undefined ? 'string' : 'key', text: string })
      if (colon !== undefined) found.push({ kind: 'plain', text: colon })
    } else {
      found.push({ kind: number === undefined ? 'word' : 'number', text: whole })
    }
    end = match.index + whole.length
  }
  plain(json.length)
  return found
}
