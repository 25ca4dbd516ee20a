/** The sign-in of a program, by the code that it shows. */
import { useMutation, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'

export type DeviceSignIn = Schemas['DeviceSignIn']

const LETTERS = /^[BCDFGHJKLMNPQRSTVWXZ]{8}$/

/** As the gateway names it, `BDFG-HJKL`; null if that is no code. */
export function readCode(text: string): string | null {
  const plain = text.replace(/[\s-]/g, '').toUpperCase()
  return LETTERS.test(plain) ? `${plain.slice(0, 4)}-${plain.slice(4)}` : null
}

export function useDeviceSignIn(code: Ref<string | null>) {
  return useQuery({
    queryKey: computed(() => ['device', code.value]),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/me/device-sign-ins/{id}', { params: { path: { id: code.value ?? '' } }, signal })),
    enabled: computed(() => code.value !== null),
    // What is confirmed is what is shown.
    staleTime: Infinity,
    gcTime: 0,
  })
}

export function useDecision() {
  return useMutation({
    mutationFn: ({ code, approve }: { code: string; approve: boolean }) => {
      const params = { path: { id: code } }
      return unwrap(
        approve
          ? api.POST('/api/v1/staff/me/device-sign-ins/{id}/approve', { params })
          : api.POST('/api/v1/staff/me/device-sign-ins/{id}/deny', { params }),
      )
    },
  })
}
