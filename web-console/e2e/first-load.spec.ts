import { expect, test } from './console'

test('the first load is small and quick', async ({ as }) => {
  const page = await as('olga', '/')
  await page.reload()
  await expect(page.locator('h1')).toBeVisible()
  await expect(page.locator('[aria-busy="true"]')).toHaveCount(0)
  const { scripts, painted } = await page.evaluate(() => {
    const resources = performance.getEntriesByType('resource') as PerformanceResourceTiming[]
    return {
      scripts: resources.filter(({ name }) => name.endsWith('.js')).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
      painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
    }
  })
  expect(scripts).toBeGreaterThan(50_000)
  expect(scripts, 'bytes of compressed JavaScript').toBeLessThan(350_000)
  expect(painted, 'milliseconds until something is seen').toBeLessThan(3_000)
})
