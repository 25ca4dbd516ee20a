import { expect, it } from 'vitest'
import { readCode } from './queries'

it('reads codes as people type them', () => {
  for (const typed of ['BDFG-HJKL', 'bdfghjkl', ' bdfg hjkl ']) expect(readCode(typed)).toBe('BDFG-HJKL')
  for (const typed of ['', 'BDFG-HJK', 'BDFG-HJKA', 'BDFG-HJK1', '<b>BDFGHJKL']) expect(readCode(typed)).toBeNull()
})
