import type { Page, Request } from '@playwright/test'
import { expect, row, test } from './console'
import { product } from './product'

// A connection that is lost on purpose is told of by the browser.
test.use({ tolerated: /net::ERR_(INTERNET_DISCONNECTED|CONNECTION_\w+|FAILED|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|NETWORK_\w+)|status of 50[23]/ })

const badge = (page: Page, state: string) => page.getByRole('button', { name: new RegExp(`^${state}\\.`) })

/** What the page asks of the gateway from now on. */
function asked(page: Page): { streams: Request[]; lists: Request[] } {
  const seen = { streams: [] as Request[], lists: [] as Request[] }
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname === '/api/v1/staff/stream') seen.streams.push(request)
    if (pathname === '/api/v1/staff/jobs') seen.lists.push(request)
  })
  return seen
}

test('no event is lost over a restart of the gateway', async ({ as }) => {
  const job = await product.enqueue('restart', '--delay', '86400', '--tag', 'e2e-restart')
  const page = await as('olga', '/jobs?tag=e2e-restart')
  await expect(row(page, job)).toContainText('Scheduled')
  await expect(badge(page, 'Live')).toBeVisible()
  // The last place that the page was told of is one of ours: something has been told.
  await product.queue('priority', '--to', '3', String(job))
  await page.waitForTimeout(1_500)
  const seen = asked(page)
  // Held off until the change has happened, however fast the new process is.
  await page.route('**/staff/stream*', (route) => route.abort())
  await product.restartGateway()
  await expect(badge(page, 'Stale')).toBeVisible()
  await product.queue('cancel', String(job))
  await page.unroute('**/staff/stream*')
  await expect(row(page, job)).toContainText('Cancelled', { timeout: 40_000 })
  await expect(badge(page, 'Live')).toBeVisible()
  const last = seen.streams.at(-1)
  expect(await last?.headerValue('last-event-id'), 'it goes on from where it was').toBeTruthy()
  expect(seen.lists, 'the event was told, not the list read anew').toEqual([])
})

test('a database that hangs is told of within seconds, and everything comes when it is back', async ({ as }) => {
  const job = await product.enqueue('hung', '--delay', '86400', '--tag', 'e2e-hung')
  const page = await as('olga', '/jobs?tag=e2e-hung')
  await expect(row(page, job)).toContainText('Scheduled')
  await expect(badge(page, 'Live')).toBeVisible()
  await product.whileDatabaseHangs(async () => {
    await expect(badge(page, 'Stale')).toBeVisible({ timeout: 10_000 })
    await page.getByRole('navigation').getByRole('link', { name: 'Deliveries' }).click()
    await expect(page.getByRole('alert')).toContainText('database')
  })
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await expect(page.getByRole('alert')).toHaveCount(0)
  await expect(badge(page, 'Live')).toBeVisible()
  await product.queue('cancel', String(job))
  await page.goBack()
  await expect(row(page, job)).toContainText('Cancelled')
})

test('who is offline is told so, and has everything when back', async ({ as }) => {
  const job = await product.enqueue('offline', '--delay', '86400', '--tag', 'e2e-offline')
  const page = await as('olga', '/jobs?tag=e2e-offline')
  await expect(row(page, job)).toContainText('Scheduled')
  await expect(badge(page, 'Live')).toBeVisible()
  await page.context().setOffline(true)
  await expect(page.getByText('You are offline. What you see may be old.')).toBeVisible()
  await expect(badge(page, 'Stale')).toBeVisible()
  await product.queue('cancel', String(job))
  await page.context().setOffline(false)
  await expect(row(page, job)).toContainText('Cancelled', { timeout: 40_000 })
  await expect(page.getByText('You are offline')).toHaveCount(0)
  await expect(badge(page, 'Live')).toBeVisible({ timeout: 40_000 })
})

test('live updates pause by hand and go on where they were', async ({ as }) => {
  const job = await product.enqueue('paused', '--delay', '86400', '--tag', 'e2e-paused')
  const page = await as('olga', '/jobs?tag=e2e-paused')
  await expect(row(page, job)).toContainText('Scheduled')
  await badge(page, 'Live').click()
  await expect(badge(page, 'Paused')).toHaveAttribute('aria-pressed', 'true')
  const seen = asked(page)
  await product.queue('cancel', String(job))
  // As long as a change would need three times over.
  await page.waitForTimeout(1_500)
  await expect(row(page, job)).toContainText('Scheduled')
  expect(seen.streams).toEqual([])
  await badge(page, 'Paused').click()
  await expect(row(page, job)).toContainText('Cancelled')
})

test('a tab that nobody looks at lets go of the stream', async ({ as }) => {
  const job = await product.enqueue('hidden', '--delay', '86400', '--tag', 'e2e-hidden')
  const page = await as('olga', '/jobs?tag=e2e-hidden')
  await expect(row(page, job)).toContainText('Scheduled')
  await expect(badge(page, 'Live')).toBeVisible()
  const hide = (hidden: boolean) =>
    page.evaluate((on) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => on })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
  await hide(true)
  await expect(badge(page, 'Paused')).toBeVisible({ timeout: 20_000 })
  const seen = asked(page)
  await product.queue('cancel', String(job))
  await hide(false)
  await expect(row(page, job)).toContainText('Cancelled')
  await expect(badge(page, 'Live')).toBeVisible()
  expect(await seen.streams[0]?.headerValue('last-event-id'), 'it goes on from where it was').toBeTruthy()
})
