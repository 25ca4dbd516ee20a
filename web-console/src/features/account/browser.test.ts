import { expect, it } from 'vitest'
import { browser } from './browser'

it('names browsers as people do', () => {
  const chrome = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
  expect(browser(chrome)).toBe('Chrome · Linux')
  expect(browser(`${chrome} Edg/142.0`.replace('X11; Linux x86_64', 'Windows NT 10.0'))).toBe('Edge · Windows')
  expect(browser('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1')).toBe('Safari · iOS')
  expect(browser('curl/8.5')).toBe('curl/8.5')
  expect(browser(null)).toBeNull()
})
