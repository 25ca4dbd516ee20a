/** A person at the console: signs in through the simulated GitHub; anything that the browser complains of fails the test. */
import { expect, test as base, type BrowserContextOptions, type Locator, type Page } from '@playwright/test'
import axeSource from 'axe-core'
import { product } from './product'

export { expect } from '@playwright/test'

interface Fixtures {
  /** What the browser may complain of in this test, for that is what it is about. */
  tolerated: RegExp | null
  complaints: string[]
  /** Signs in as this person and opens the path. */
  as: (login: string, path?: string) => Promise<Page>
  /** Somebody else, in a browser of their own. */
  also: (login: string, path?: string, options?: BrowserContextOptions) => Promise<Page>
}

/** Asked for by a page that is closed, or refused as it should be: no complaint. */
const EXPECTED = /net::ERR_ABORTED|status of (401|403|404|409|412|422|429)/

async function watch(page: Page, complaints: string[], tolerated: RegExp | null): Promise<void> {
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('console', (message) => {
    const text = message.text()
    if (message.type() === 'error' && !EXPECTED.test(text) && !tolerated?.test(text)) complaints.push(`console: ${text}`)
  })
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    const known = [new URL(product.state.url).origin, new URL(product.state.github.url).origin]
    if (protocol.startsWith('http') && !known.includes(origin)) complaints.push(`asked another host: ${request.url()}`)
  })
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`)
    })
  })
}

async function signIn(page: Page, login: string, path: string): Promise<void> {
  await page.goto(path)
  await page.getByRole('link', { name: /^(Sign in|Войти)/ }).click()
  await page.getByRole('button', { name: new RegExp(`^${login}\\b`) }).click()
  await expect(page.getByRole('navigation').first()).toBeVisible()
}

export const test = base.extend<Fixtures>({
  tolerated: [null, { option: true }],
  baseURL: async ({}, use) => use(product.state.url),

  complaints: [
    async ({ page, tolerated }, use) => {
      const complaints: string[] = []
      await watch(page, complaints, tolerated)
      await use(complaints)
      expect(complaints, 'the browser complains of nothing').toEqual([])
    },
    { auto: true },
  ],

  as: async ({ page }, use) => {
    await use(async (login, path = '/') => {
      await signIn(page, login, path)
      return page
    })
  },

  also: async ({ browser, complaints, tolerated, baseURL }, use) => {
    const opened: Page[] = []
    await use(async (login, path = '/', options = {}) => {
      const context = await browser.newContext({ locale: 'en-US', baseURL, ...options })
      const page = await context.newPage()
      opened.push(page)
      await watch(page, complaints, tolerated)
      await signIn(page, login, path)
      return page
    })
    for (const page of opened) await page.context().close()
  },
})

/** Waits until nothing is under way: no skeletons, and the page has its heading. */
export async function settled(page: Page): Promise<void> {
  await expect(page.locator('h1').first()).toBeVisible()
  await expect(page.locator('[aria-busy="true"]')).toHaveCount(0)
}

/** The row of a list that says this. */
export function row(page: Page, text: string | number): Locator {
  return page.getByRole('row').filter({ hasText: String(text) }).first()
}

/** What axe finds wrong on the page as it stands. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource.source)
  const found = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: typeof import('axe-core') }).axe
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
    const { violations: all } = await axe.run(document, { runOnly: tags })
    return all.map(({ id, nodes }) => ({ id, nodes: nodes.map((node) => `${node.target.join(' ')}: ${node.failureSummary ?? ''}`) }))
  })
  return found.map(({ id, nodes }) => `${id} at ${nodes.slice(0, 3).join(' | ')}`)
}
