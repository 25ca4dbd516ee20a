/** A change: whether it is under way, what went wrong, and which answers are old after it. */
import { useToast } from '@nuxt/ui/composables'
import { useMutation, useQueryClient } from '@tanstack/vue-query'

export function useAction<A, R>(act: (wish: A) => Promise<R>, outdated: readonly (readonly unknown[])[]) {
  const queries = useQueryClient()
  const toast = useToast()
  const mutation = useMutation({
    mutationFn: act,
    onSettled: () => Promise.all(outdated.map((queryKey) => queries.invalidateQueries({ queryKey }))),
  })
  /** Does it, says so, and hands out the answer; `null` where it failed, and `error` says why. */
  async function run(wish: A, done: string): Promise<{ answer: R } | null> {
    try {
      const answer = await mutation.mutateAsync(wish)
      toast.add({ color: 'success', title: done })
      return { answer }
    } catch {
      return null
    }
  }
  return { run, isBusy: mutation.isPending, error: mutation.error, reset: mutation.reset }
}
