"""Chromium: open the grader's page, press its button, and wait until the cases are played."""

import sys
import tempfile
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

url = urlsplit(sys.argv[1])
options = webdriver.ChromeOptions()
options.binary_location = "/usr/bin/chromium"
with tempfile.TemporaryDirectory() as profile:
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.get(f"http://{url.netloc}/?{url.query}")
        driver.find_element(By.ID, "start").click()
        WebDriverWait(driver, 900).until(lambda _: driver.find_element(By.ID, "link").is_displayed())
    finally:
        driver.quit()
