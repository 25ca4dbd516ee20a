import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Tokens } from './tokens'

/** The gateway, as strict as it is: each cookie is good once. */
const gateway = { cookie: 1, asked: 0, isSignedIn: true }
const answer = (status: number, body: object) => new Response(JSON.stringify(body), { status })

/** One lock for all tabs, as a browser has it. */
let last: Promise<unknown> = Promise.resolve()
const locks = {
  request: (_: string, act: () => Promise<unknown>) => {
    const turn = last.then(act)
    last = turn.catch(() => {})
    return turn
  },
}

beforeEach(() => {
  Object.assign(gateway, { cookie: 1, asked: 0, isSignedIn: true })
  vi.stubGlobal('navigator', { locks })
  vi.stubGlobal('fetch', async (path: string) => {
    const cookie = gateway.cookie
    await new Promise((resolve) => setTimeout(resolve, 5))
    if (path.endsWith('sign-out')) return new Response(null, { status: 204 })
    gateway.asked += 1
    if (!gateway.isSignedIn || cookie !== gateway.cookie) return answer(401, { code: 'signed_out', title: '', detail: '' })
    gateway.cookie += 1
    return answer(200, { access_token: `token-${gateway.cookie}`, token_type: 'Bearer', expires_in: 600 })
  })
})
afterEach(() => vi.unstubAllGlobals())

const passed = () => new Promise((resolve) => setTimeout(resolve, 20))

it('asks once for many who need it', async () => {
  const tab = new Tokens()
  const got = await Promise.all([tab.get(), tab.get(), tab.renew()])
  expect(new Set(got).size).toBe(1)
  expect(await tab.get()).toBe(got[0])
  expect(gateway.asked).toBe(1)
})

it('lets tabs take turns, so that no cookie is used twice', async () => {
  const tabs = [new Tokens(), new Tokens(), new Tokens()]
  const got = await Promise.all(tabs.map((tab) => tab.get()))
  expect(got.every((token) => token.startsWith('token-'))).toBe(true)
  await passed()
  const asked = gateway.asked
  expect(await tabs[0]!.get()).toBe(await tabs[2]!.get())
  expect(gateway.asked).toBe(asked)
})

it('ends in every tab when the session has ended', async () => {
  const tabs = [new Tokens(), new Tokens()]
  await tabs[0]!.get()
  await passed()
  const ended = tabs.map((tab) => (tab.onEnd = vi.fn()))
  gateway.isSignedIn = false
  await expect(tabs[0]!.renew()).rejects.toMatchObject({ status: 401, code: 'signed_out' })
  expect(ended[0]).toHaveBeenCalledOnce()
  await tabs[0]!.signOut()
  await passed()
  expect(ended[1]).toHaveBeenCalledOnce()
})
