import { expect, test } from './console'
import { product } from './product'

const PROBE = '<img src=x onerror="window.__xss=1"><script>window.__xss=1</script>'

test('what strangers write stays text', async ({ as }) => {
  await product.label('acme/billing', 28, 'run:dev', PROBE)
  await product.label('acme/storefront', 29, `"><svg onload=window.__xss=1>`, PROBE)
  const page = await as('olga', '/jobs')
  const places = await page.getByRole('navigation').getByRole('link').evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).pathname))
  const { items: jobs } = await product.api<{ items: { id: number }[] }>('jobs?limit=5')
  const paths = [...new Set(places), ...jobs.map((job) => `/jobs/${job.id}`)]
  if (places.includes('/runs')) {
    const run = await product.api<{ items: { id: number; issue: number }[] }>('runs?limit=5')
    paths.push(...run.items.filter(({ issue }) => issue === 28).map(({ id }) => `/runs/${id}`))
  }
  if (places.includes('/deliveries')) {
    const deliveries = await product.api<{ items: { id: string }[] }>('deliveries?limit=2')
    paths.push(...deliveries.items.map(({ id }) => `/deliveries/${id}`))
  }
  for (const path of paths) {
    await page.goto(path)
    await expect(page.locator('h1').first()).toBeVisible()
    await expect(page.locator('[aria-busy="true"]')).toHaveCount(0)
    expect(await page.evaluate(() => (window as unknown as { __xss?: unknown }).__xss), path).toBeUndefined()
    expect(await page.locator('a[href^="javascript:" i]').count(), path).toBe(0)
  }
})
