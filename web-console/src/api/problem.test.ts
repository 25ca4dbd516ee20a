import { expect, it } from 'vitest'
import { asProblem, Problem } from './problem'

const answer = (status: number, headers: Record<string, string> = {}) => new Response(null, { status, headers })

it('reads what the gateway says, and makes do where something else answers', async () => {
  const body = { code: 'forbidden', title: 'No', detail: 'Ask an admin.', request_id: 'r-1' }
  expect(await Problem.of(answer(403), body)).toMatchObject({ status: 403, code: 'forbidden', title: 'No', requestId: 'r-1' })
  const proxy = await Problem.of(answer(502, { 'x-request-id': 'r-2', 'retry-after': '7' }), '<html>')
  expect(proxy).toMatchObject({ code: 'status_502', detail: '', requestId: 'r-2', retryAfterS: 7 })
})

it('knows what passes by itself', async () => {
  for (const status of [429, 500, 503]) expect((await Problem.of(answer(status), null)).isPassing, String(status)).toBe(true)
  for (const status of [400, 401, 403, 404, 409, 412, 422]) expect((await Problem.of(answer(status), null)).isPassing, String(status)).toBe(false)
  expect(asProblem(new TypeError('Failed to fetch'))).toMatchObject({ status: 0, isPassing: true, detail: 'Failed to fetch' })
})
