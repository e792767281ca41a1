def main():
    print("as main")


if __name__ == "__main__":
    main()
else:
    print("as", __name__)
