/** A person at the console: signs in through the simulated GitHub; anything that the browser complains of fails the test. */
import { expect, test as base, type Page } from '@playwright/test'
import axeSource from 'axe-core'
import { product } from './product'

export { expect } from '@playwright/test'

type Complaints = string[]

interface Fixtures {
  complaints: Complaints
  /** Signs in as this person and opens the path. */
  as: (login: string, path?: string) => Promise<Page>
}

/** Asked for by a page that is closed, or refused as it should be: no complaint. */
const EXPECTED = /net::ERR_ABORTED|status of (401|403|404|409|429)/

export const test = base.extend<Fixtures>({
  baseURL: async ({}, use) => use(product.state.url),

  complaints: [
    async ({ page }, use) => {
      const complaints: Complaints = []
      page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
      page.on('console', (message) => {
        const text = message.text()
        if (message.type() === 'error' && !EXPECTED.test(text)) complaints.push(`console: ${text}`)
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
      await use(complaints)
      expect(complaints, 'the browser complains of nothing').toEqual([])
    },
    { auto: true },
  ],

  as: async ({ page }, use) => {
    await use(async (login, path = '/') => {
      await page.goto(path)
      await page.getByRole('link', { name: 'Sign in' }).click()
      await page.getByRole('button', { name: new RegExp(`^${login}\\b`) }).click()
      await expect(page.getByRole('navigation').first()).toBeVisible()
      return page
    })
  },
})

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
