/** A change: whether it is under way, what went wrong, and which answers are old after it. */
import { useToast, type Toast } from '@nuxt/ui/composables'
import { useMutation, useQueryClient } from '@tanstack/vue-query'

/** What is said afterwards: the words, or a message made of the answer. */
type Done<R> = string | ((answer: R) => Partial<Toast>)

export function useAction<A, R>(act: (wish: A) => Promise<R>, outdated: readonly (readonly unknown[])[]) {
  const queries = useQueryClient()
  const toast = useToast()
  const mutation = useMutation({
    mutationFn: act,
    onSettled: () => Promise.all(outdated.map((queryKey) => queries.invalidateQueries({ queryKey }))),
  })
  /** Does it, says so, and hands out the answer; `null` where it failed, and `error` says why. */
  async function run(wish: A, done: Done<R>): Promise<{ answer: R } | null> {
    try {
      const answer = await mutation.mutateAsync(wish)
      toast.add({ color: 'success', ...(typeof done === 'string' ? { title: done } : done(answer)) })
      return { answer }
    } catch {
      return null
    }
  }
  return { run, isBusy: mutation.isPending, error: mutation.error, reset: mutation.reset }
}
