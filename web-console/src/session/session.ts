/** Who is signed in, and what they may. The gateway decides at each request; this only tells what to offer. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'
import { asProblem, type Problem } from '@/api/problem'
import { tokens } from './tokens'

/** As the gateway names them in `x-right`. */
export type Right =
  | 'signed_in'
  | 'own_access'
  | 'project_read'
  | 'project_write'
  | 'project_admin'
  | 'platform_read'
  | 'platform_write'
  | 'platform_admin'

export type SessionState = 'starting' | 'signed-in' | 'signed-out' | 'expired' | 'failed'

export const useSession = defineStore('session', () => {
  const state = ref<SessionState>('starting')
  const me = shallowRef<Schemas['Me'] | null>(null)
  const problem = shallowRef<Problem | null>(null)

  // Whoever signs out leaves nothing on the screen; whose session merely ends may go on where they were.
  tokens.onEnd = (how) => {
    if (how === 'signed-out') state.value = 'signed-out'
    else if (state.value === 'signed-in') state.value = 'expired'
    else if (state.value !== 'expired') state.value = 'signed-out'
  }

  /** Finds out whether somebody is signed in. */
  async function start(): Promise<void> {
    state.value = 'starting'
    problem.value = null
    try {
      me.value = await unwrap(api.GET('/api/v1/staff/me'))
      state.value = 'signed-in'
    } catch (error) {
      problem.value = asProblem(error)
      state.value = problem.value.status === 401 ? 'signed-out' : 'failed'
    }
  }

  async function signOut(): Promise<void> {
    const before = state.value
    state.value = 'signed-out'
    try {
      await tokens.signOut()
      me.value = null
    } catch (error) {
      state.value = before
      throw error
    }
  }

  const rights = computed(() => new Set(me.value?.rights ?? []))
  const may = (right: Right): boolean => rights.value.has(right)

  return { state, me, problem, start, signOut, may }
})
