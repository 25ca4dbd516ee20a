/**
 * The gateway's API, typed by its OpenAPI document. Every call goes out with an access token, and with a key that lets
 * it be sent again without a second effect; what isn't good is thrown as a `Problem`.
 */
import createClient from 'openapi-fetch'
import { tokens } from '@/session/tokens'
import { Problem } from './problem'
import type { components, paths } from './schema'

export type Schemas = components['schemas']

/** Sends with a bearer; asks once more with a new one if the gateway refuses it. */
export async function authorizedFetch(request: Request): Promise<Response> {
  const again = request.clone()
  const response = await send(request, await tokens.get())
  if (response.status !== 401) return response
  return await send(again, await tokens.renew())
}

async function send(request: Request, bearer: string): Promise<Response> {
  request.headers.set('Authorization', `Bearer ${bearer}`)
  try {
    return await fetch(request)
  } catch (error) {
    if (request.signal.aborted) throw error
    throw Problem.unreachable(error)
  }
}

export const api = createClient<paths>({ fetch: authorizedFetch })

api.use({
  onRequest({ request }) {
    if (request.method !== 'GET' && !request.headers.has('Idempotency-Key')) {
      request.headers.set('Idempotency-Key', crypto.randomUUID())
    }
    return request
  },
})

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The answer's body, or the problem thrown. */
export async function unwrap<T>(asked: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await asked
  if (!response.ok) throw await Problem.of(response, error)
  return data as T
}
