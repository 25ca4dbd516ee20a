/** Starts the product once for all tests. */
import { product, start, until } from './product'

export default async function setup(): Promise<() => Promise<void>> {
  const { state, stop } = await start()
  process.env.E2E_STATE = JSON.stringify(state)
  try {
    // The story of the first start has come to rest.
    await until('the demo has runs that ended', 60, async () => {
      const { items } = await product.api<{ items: { status: string }[] }>('runs?limit=50')
      return items.filter((run) => run.status === 'succeeded').length >= 3 && items.some((run) => run.status === 'running')
    })
  } catch (error) {
    await stop()
    throw error
  }
  return stop
}
