/** Where one can go. */
import type { Page } from '@playwright/test'
import { expect } from './console'
import { product } from './product'

/** Every screen: the places of the sidebar, and one of everything that has a page of its own. */
export async function screens(page: Page): Promise<string[]> {
  const links = page.getByRole('navigation').getByRole('link')
  await expect(links.first()).toBeVisible()
  const hrefs = await links.evaluateAll((all) => all.map((link) => new URL((link as HTMLAnchorElement).href).pathname))
  const first = async (path: string, member: string) => {
    const { items } = await product.api<{ items: Record<string, string | number>[] }>(path)
    return items[0]?.[member]
  }
  const details = [
    `/jobs/${await first('jobs?state=dead&limit=1', 'id')}`,
    `/jobs/${await first('jobs?limit=1', 'id')}`,
    '/device',
  ]
  const known: [string, string][] = [
    ['/runs', `/runs/${await first('runs?status=failed&limit=1', 'id')}`],
    ['/deliveries', `/deliveries/${await first('deliveries?limit=1', 'id')}`],
    ['/schedules', '/schedules/triage-reminder'],
    ['/projects', '/projects/demo'],
    ['/repositories', `/repositories/${await first('repositories?limit=1', 'id')}`],
  ]
  for (const [list, detail] of known) if (hrefs.includes(list)) details.push(detail)
  return [...new Set(['/', ...hrefs, ...details])]
}
