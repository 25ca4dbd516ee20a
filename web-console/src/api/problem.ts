/** What went wrong with a request: the gateway's problem+json (RFC 9457), or that there was no answer at all. */
export class Problem extends Error {
  constructor(
    /** The HTTP status; 0 if there was no answer. */
    readonly status: number,
    /** Stable, for programs; `unreachable` if there was no answer. */
    readonly code: string,
    /** For people. */
    readonly title: string,
    /** What to do about it, for people. */
    readonly detail: string,
    /** As in the gateway's log. */
    readonly requestId: string | null,
    /** Seconds to wait before the next try. */
    readonly retryAfterS: number | null = null,
  ) {
    super(`${title}: ${detail}`)
    this.name = 'Problem'
  }

  /** Nobody answered: the network or the gateway is away. */
  static unreachable(cause: unknown): Problem {
    return new Problem(0, 'unreachable', '', cause instanceof Error ? cause.message : String(cause), null)
  }

  /** Out of an answer that isn't good. */
  static async of(response: Response, body: unknown): Promise<Problem> {
    const said = isRecord(body) ? body : {}
    const text = (key: string) => (typeof said[key] === 'string' ? said[key] : undefined)
    const retryAfter = Number(response.headers.get('retry-after'))
    return new Problem(
      response.status,
      text('code') ?? `status_${response.status}`,
      text('title') ?? response.statusText,
      text('detail') ?? '',
      text('request_id') ?? response.headers.get('x-request-id'),
      retryAfter > 0 ? retryAfter : null,
    )
  }

  /** Whether asking again could help without anything being changed. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** Whatever was thrown, as a problem. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : Problem.unreachable(error)
}
